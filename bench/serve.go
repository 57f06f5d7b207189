//go:build linux

package main

import (
	"errors"
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
	peers := []peer{
		{"floor: a server that only answers", b.answer, nil, func() error { return nil }},
		{"Postfix smtpd, held", b.postfix, b.heldByPostfix, b.emptyPostfix},
		b.ours("smap -listen", "serve", func(top string) (*server, error) { return b.listen(top) }),
		b.ours("smap under inetd", "serve-inetd", b.inetd),
	}
	ports, stop, err := b.startAll(peers)
	defer stop()
	if err != nil {
		return err
	}
	for _, mode := range []struct{ flag, suffix string }{{"-c", perMessage}, {"-d", perMany}} {
		for _, n := range sessions {
			var trials []trial
			for i, p := range peers {
				trials = append(trials, trial{p.name + mode.suffix, fmt.Sprint(n), func() (float64, error) {
					return b.source(p, ports[i], n, mode.flag)
				}})
			}
			if err := b.turns("messages/s", trials...); err != nil {
				return err
			}
		}
	}
	return nil
}

// ours is a program that writes into a spool of its own.
func (b *bench) ours(name, spool string, start func(top string) (*server, error)) peer {
	top := filepath.Join(b.disk, spool)
	return peer{
		name: name,
		start: func() (*server, error) {
			if _, err := b.spool(spool, b.uid); err != nil {
				return nil, err
			}
			return start(top)
		},
		held: func() (int, error) { return files(filepath.Join(top, "new"), ".envelope") },
		empty: func() error {
			return errors.Join(clear(filepath.Join(top, "tmp")), clear(filepath.Join(top, "new")))
		},
	}
}

// startAll starts all peers, which wait side by side for their turns, and gives their ports: 0 for one that is missing.
func (b *bench) startAll(peers []peer) (ports []int, stop func(), err error) {
	var servers []*server
	stop = func() {
		for _, s := range servers {
			s.stop() //nolint:errcheck // the measurement is over
		}
	}
	for _, p := range peers {
		s, err := p.start()
		if s != nil {
			servers = append(servers, s)
		}
		switch {
		case b.lacks(p.name, err):
			ports = append(ports, 0)
		case err != nil:
			return nil, stop, fmt.Errorf("%s: %w", p.name, err)
		default:
			ports = append(ports, s.port)
		}
	}
	return ports, stop, nil
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
