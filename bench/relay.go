//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	smapRelay    = "smap and smapd, agent smtp"
	postfixRelay = "Postfix, relayhost"
	eximRelays   = "Exim, manualroute"
	opensmtpdIs  = "OpenSMTPD, relay"
	nullmailerIs = "nullmailer, under inetd"
)

// relays are those that are measured from SMTP to SMTP.
var relays = []string{smapRelay, postfixRelay, eximRelays, opensmtpdIs, nullmailerIs}

// relay measures mail that comes by SMTP, is made durable, and goes out by SMTP to a server that forgets it; and how often
// each server syncs for that.
func (b *bench) relay() error {
	out, err := newSink(false)
	if err != nil {
		return err
	}
	defer out.close()
	port := out.address()[strings.LastIndexByte(out.address(), ':')+1:]
	done := func() (int64, error) { return out.count(), nil }
	all, stop, err := b.chains(
		&chain{name: smapRelay, part: 1, done: done, start: func() (*server, error) {
			return b.ourChain("relay", "smtp "+out.address()+" tls none")
		}},
		&chain{name: postfixRelay, part: 1, done: done, start: func() (*server, error) {
			return b.postfixWith("postfix-relay", "", "mydestination =", "relay_domains = bench.test", "relayhost = [127.0.0.1]:"+port,
				"smtp_dns_support_level = disabled", "relay_transport = smtp", fmt.Sprintf("default_destination_concurrency_limit = %d", concurrency))
		}},
		&chain{name: eximRelays, part: 10, done: done, start: func() (*server, error) { return b.eximRelay(port) }},
		&chain{name: opensmtpdIs, part: 20, done: done, start: func() (*server, error) { return b.opensmtpd(port) }},
		&chain{name: nullmailerIs, part: 10, done: done, start: func() (*server, error) { return b.nullmailer(port) }},
	)
	defer stop()
	if err != nil {
		return err
	}
	return errors.Join(b.rates(all), b.syncs(all))
}

// eximRelay starts Exim's daemon, which delivers each message at once.
func (b *bench) eximRelay(out string) (*server, error) {
	in, err := freePort()
	if err != nil {
		return nil, err
	}
	root, _, err := b.eximRoot(strings.NewReplacer("IN", fmt.Sprint(in), "OUT", out).Replace(eximRelay))
	if err != nil {
		return nil, err
	}
	return b.daemonIn(root, in, "/usr/sbin/exim4", "-bdf")
}

func (b *bench) opensmtpd(out string) (*server, error) {
	in, err := freePort()
	if err != nil {
		return nil, err
	}
	root, queue, err := b.unpack("opensmtpd", "var/spool/smtpd", "opensmtpd")
	if err != nil {
		return nil, err
	}
	err = errors.Join(os.Chown(queue, 0, 0), os.Chmod(queue, 0o711), os.MkdirAll(filepath.Join(root, "var/lib/opensmtpd/empty"), 0o755),
		os.MkdirAll(filepath.Join(root, "var/run"), 0o755), b.writeAll(root, map[string]string{
			"etc/aliases": "", "etc/mailname": "bench.test\n",
			"etc/smtpd.conf": fmt.Sprintf("listen on 127.0.0.1 port %d hostname bench.test\naction sink relay host smtp://127.0.0.1:%s\n"+
				"match from any for any action sink\n", in, out)}))
	if err != nil {
		return nil, err
	}
	return b.daemonIn(root, in, "/usr/sbin/smtpd", "-d")
}

// nullmailer's SMTP server is a process for each connection. Its queue has one sender.
func (b *bench) nullmailer(out string) (*server, error) {
	root, queue, err := b.unpack("nullmailer", "var/spool/nullmailer", "nullmailer", "openbsd-inetd")
	if err != nil {
		return nil, err
	}
	err = b.writeAll(root, map[string]string{"etc/nullmailer/remotes": "127.0.0.1 smtp --port=" + out + "\n", "etc/mailname": "bench.test\n"})
	for _, dir := range []string{"queue", "tmp", "failed"} {
		path := filepath.Join(queue, dir)
		err = errors.Join(err, os.MkdirAll(path, 0o700), os.Chown(path, b.uid, 8))
	}
	if err != nil {
		return nil, err
	}
	trigger := filepath.Join(queue, "trigger")
	if _, err := b.output("mkfifo", "-m", "622", trigger); err != nil {
		return nil, err
	}
	if err := os.Chown(trigger, b.uid, 8); err != nil {
		return nil, err
	}
	in, err := b.inetdIn(root, "mail", "/usr/bin/nullmailer-smtpd nullmailer-smtpd")
	if err != nil {
		return in, err
	}
	send, err := b.startIn(root, "/usr/sbin/nullmailer-send")
	if err != nil {
		return in, err
	}
	return &server{port: in.port, stop: func() error { return errors.Join(in.stop(), send.stop()) },
		pids: func() []int { return append(in.pids(), send.pids()...) }}, nil
}

// daemonIn starts a server in a root and waits until it greets.
func (b *bench) daemonIn(root string, port int, name string, args ...string) (*server, error) {
	s, err := b.startIn(root, name, args...)
	if err != nil {
		return nil, err
	}
	s.port = port
	return s, s.await()
}

// syncs counts how often each server syncs for a message: of messages that come alone, and of those that 16 sessions send.
func (b *bench) syncs(all []*chain) error {
	if _, err := b.output("strace", "-V"); err != nil {
		b.lacks("strace, which counts syncs", &missingError{err})
		return nil
	}
	for _, n := range []int{1, 16} {
		for _, c := range all {
			total, err := b.syncsOf(c, n, 100)
			if err != nil {
				return fmt.Errorf("%s under strace: %w", c.name, err)
			}
			b.add(c.name+": fsync, fdatasync and syncfs", fmt.Sprint(n), "calls for a message", float64(total)/100)
		}
	}
	return nil
}

func (b *bench) syncsOf(c *chain, sessions, count int) (int, error) {
	trace := b.file("strace")
	args := []string{"-f", "-qq", "-e", "trace=fsync,fdatasync,syncfs,sync", "-e", "signal=none", "-o", trace}
	pids := descendants(c.pids())
	for _, pid := range pids {
		args = append(args, "-p", fmt.Sprint(pid))
	}
	s, err := b.start("strace", args...)
	if err != nil {
		return 0, err
	}
	defer s.stop() //nolint:errcheck // it is stopped below, where that matters
	for i := 0; !traced(pids[len(pids)-1]); i++ {
		if i == 100 {
			return 0, errors.New("strace does not attach")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := b.through(c, sessions, count); err != nil {
		return 0, err
	}
	time.Sleep(1500 * time.Millisecond) // a server may sync its removals later
	if err := s.stop(); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		return 0, err
	}
	return strings.Count(string(text), "sync(") + strings.Count(string(text), "syncfs("), nil
}

// traced tells whether a tracer is attached to a process.
func traced(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(text), "\nTracerPid:\t0\n")
}
