//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// peer is a receiver of mail that smtp-source is let loose on.
type peer struct {
	name  string
	start func() (*server, error)
	held  func() (int, error) // messages that it has now; nil: it keeps none
	empty func() error
}

// serve measures messages per second from smtp-source, one connection for each message and many messages for each.
func (b *bench) serve() error {
	top := filepath.Join(b.disk, "serve")
	ours := func(start func(string) (*server, error)) func() (*server, error) {
		return func() (*server, error) {
			if _, err := b.spool("serve", b.uid); err != nil {
				return nil, err
			}
			return start(top)
		}
	}
	held := func() (int, error) { return files(filepath.Join(top, "new"), ".envelope") }
	peers := []peer{
		{"floor: a server that only answers", b.answer, nil, func() error { return nil }},
		{"Postfix smtpd, held", b.postfix, b.heldByPostfix, b.emptyPostfix},
		{"smap -listen", ours(func(top string) (*server, error) { return b.listen(top) }), held, func() error { return clear(filepath.Join(top, "new")) }},
		{"smap under inetd", ours(b.inetd), held, func() error { return clear(filepath.Join(top, "new")) }},
	}
	for _, p := range peers {
		if err := b.load(p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// load measures one peer at every number of sessions.
func (b *bench) load(p peer) error {
	s, err := p.start()
	if err != nil {
		if s != nil {
			err = fmt.Errorf("%w (%w)", err, s.stop())
		}
		return err
	}
	defer s.stop() //nolint:errcheck // the measurement is over
	for _, mode := range []struct{ flag, suffix string }{{"-c", "connection per message"}, {"-d", "many messages per connection"}} {
		for _, n := range sessions {
			err := b.median("messages/s", fmt.Sprint(n), p.name+", "+mode.suffix, func() (float64, error) {
				return b.source(p, s.port, n, mode.flag)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// source sends count messages and checks that the peer holds exactly these.
func (b *bench) source(p peer, port, sessions int, flag string) (float64, error) {
	if err := p.empty(); err != nil {
		return 0, err
	}
	count := b.count(sessions)
	args := []string{"-m", fmt.Sprint(count), "-s", fmt.Sprint(sessions), "-l", "4096", "-f", "a@client.test", "-t", "b@bench.test"}
	if flag == "-d" {
		args = append(args, "-d")
	}
	began := time.Now()
	if _, err := b.output("smtp-source", append(args, fmt.Sprintf("127.0.0.1:%d", port))...); err != nil {
		return 0, err
	}
	rate := float64(count) / time.Since(began).Seconds()
	if p.held == nil {
		return rate, nil
	}
	switch n, err := p.held(); {
	case err != nil:
		return 0, err
	case n != count:
		return 0, fmt.Errorf("%d messages were sent and %d are there", count, n)
	}
	return rate, nil
}

// answer starts what shows how fast smtp-source and the kernel's TCP are by themselves.
func (b *bench) answer() (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s, err := b.start(b.file("answer"), fmt.Sprint(port))
	if err != nil {
		return nil, err
	}
	s.port = port
	return s, s.await()
}

// files counts the names in a directory tree that end so.
func files(dir, suffix string) (n int, err error) {
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && filepath.Ext(path) == suffix {
			n++
		}
		return nil
	})
	return n, err
}

func clear(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) heldByPostfix() (int, error) {
	return files(filepath.Join(b.disk, "postfix", "hold"), "")
}
