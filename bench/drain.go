//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// children is the concurrency at which draining is measured.
const children = 6

// drain measures how fast a backlog goes out, for each kind of agent, beside one durable file for each
// message, as a maildir has.
func (b *bench) drain() error {
	lmtp, err := newSink(true)
	if err != nil {
		return err
	}
	defer lmtp.close()
	smtp, err := newSink(false)
	if err != nil {
		return err
	}
	defer smtp.close()
	home := filepath.Join(b.disk, "home")
	if err := errors.Join(os.MkdirAll(home, 0o700), os.Chown(home, b.uid, -1)); err != nil {
		return err
	}
	maildir := filepath.Join(home, "Maildir")
	return b.turns("messages/s",
		b.drained("exec /bin/true", 3000, nil),
		trial{"raw: one file, fsync, rename, directory fsync", fmt.Sprint(children), b.singles},
		trial{"smapd, agent maildir", fmt.Sprint(children), func() (float64, error) {
			if err := os.RemoveAll(maildir); err != nil {
				return 0, err
			}
			return b.backlog("maildir "+maildir, b.messages(3000), nil)
		}},
		b.drained("lmtp "+lmtp.address(), 6000, lmtp.count),
		b.drained("smtp "+smtp.address()+" tls none", 6000, smtp.count),
	)
}

// drained is a backlog that an agent takes.
func (b *bench) drained(agent string, count int, taken func() int64) trial {
	kind, _, _ := strings.Cut(agent, " ")
	return trial{"smapd, agent " + kind, fmt.Sprint(children), func() (float64, error) {
		return b.backlog(agent, b.messages(count), taken)
	}}
}

// singles writes one durable file for each message.
func (b *bench) singles() (float64, error) {
	dir, err := b.spool("floor", 0)
	if err != nil {
		return 0, err
	}
	out, err := b.output(b.file("commit"), "single", dir, fmt.Sprint(children), fmt.Sprint(b.messages(3000)))
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(out), 64)
}

// backlog fills a spool, lets smapd empty it, and gives messages per second from its start to its end.
func (b *bench) backlog(agent string, count int, taken func() int64) (float64, error) {
	dir, err := b.spool("drain", b.uid)
	if err != nil {
		return 0, err
	}
	for i := range count {
		if err := feed(dir, "new", fmt.Sprintf("drain-%06d", i), b.uid, time.Time{}); err != nil {
			return 0, err
		}
	}
	if _, err := b.output("sync"); err != nil {
		return 0, err
	}
	table, err := b.table("smapd: directory "+dir, "smapd: userid mail", "smapd: log stderr", "smapd: badadmin none",
		fmt.Sprintf("smapd: maxchildren %d", children), "smapd: agent "+agent)
	if err != nil {
		return 0, err
	}
	var before int64
	if taken != nil {
		before = taken()
	}
	began := time.Now()
	if _, err := b.output(filepath.Join(b.bin, "smapd"), "-c", table, "-once"); err != nil {
		return 0, err
	}
	rate := float64(count) / time.Since(began).Seconds()
	for _, box := range []string{"new", "cur", "bad"} {
		if n, err := files(filepath.Join(dir, box), ".envelope"); err != nil || n > 0 {
			return 0, errors.Join(fmt.Errorf("%d messages are left in %s", n, box), err)
		}
	}
	if taken != nil && taken()-before != int64(count) {
		return 0, fmt.Errorf("the server took %d messages, want %d", taken()-before, count)
	}
	return rate, nil
}

// feed puts a message into a box without syncing it. A time is when its next attempt is due.
func feed(dir, box, id string, uid int, next time.Time) error {
	// Ten mailboxes in ten domains: mail for a single one never gets the last slots of a lane.
	n := id[len(id)-1:]
	head := fmt.Sprintf("Spool-Format: 1\nSender: <a@client.test>\nRecipient: <b%s@bench%s.test>\nSize: %d\nReceived-At: 2026-11-29T12:00:00.123456Z\n\n",
		n, n, len(benchContent))
	for name, text := range map[string]string{id + ".eml": benchContent, id + ".envelope": head} {
		path := filepath.Join(dir, box, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o640), os.Chown(path, uid, -1)); err != nil {
			return err
		}
		if !next.IsZero() {
			if err := os.Chtimes(path, next, next); err != nil {
				return err
			}
		}
	}
	return nil
}

// A sink takes all mail and forgets it.
type sink struct {
	l     net.Listener
	lmtp  bool
	taken atomic.Int64
}

func newSink(lmtp bool) (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{l: l, lmtp: lmtp}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.session(c)
		}
	}()
	return s, nil
}

func (s *sink) address() string { return s.l.Addr().String() }
func (s *sink) count() int64    { return s.taken.Load() }
func (s *sink) close()          { s.l.Close() } //nolint:errcheck // the measurement is over

// session answers commands as they come; replies go out when no more input waits.
func (s *sink) session(c net.Conn) {
	defer c.Close()
	in, out := bufio.NewReader(c), bufio.NewWriter(c)
	say := func(text string) bool {
		if _, err := out.WriteString(text + "\r\n"); err != nil {
			return false
		}
		return in.Buffered() > 0 || out.Flush() == nil
	}
	recipients, ok := 0, say("220 sink")
	for ok {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line[:min(4, len(line))])); verb {
		case "EHLO", "LHLO":
			ok = say("250-sink\r\n250-PIPELINING\r\n250 8BITMIME")
		case "RCPT":
			recipients++
			ok = say("250 ok")
		case "DATA":
			ok = say("354 go") && out.Flush() == nil && content(in)
			s.taken.Add(1)
			for range max(1, recipients) {
				ok = ok && say("250 taken")
				if !s.lmtp {
					break
				}
			}
			recipients = 0
		case "QUIT":
			say("221 bye")
			return
		default:
			ok = say("250 ok")
		}
	}
}

// content reads up to the line with a dot.
func content(in *bufio.Reader) bool {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return false
		}
		if string(line) == ".\r\n" {
			return true
		}
	}
}
