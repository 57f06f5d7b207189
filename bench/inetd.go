//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// oneshot measures one process for each connection: the floor is a Go program that does nothing but answer.
func (b *bench) oneshot() error {
	if _, err := b.output("go", "build", "-trimpath", "-o", b.file("oneshot"), "./bench/floor/oneshot"); err != nil {
		return err
	}
	peers := []peer{
		b.ours(goFloor, "oneshot", func(top string) (*server, error) { return b.inetdFor("mail", b.file("oneshot"), "oneshot "+top) }),
		b.ours("smap under inetd", "oneshot-smap", b.inetd),
		{eximIs, b.exim, b.heldByExim, b.emptyExim},
	}
	ports, stop, err := b.startAll(peers)
	defer stop()
	if err != nil {
		return err
	}
	for _, n := range []int{16, 64} {
		var quit, message []trial
		for i, p := range peers {
			if ports[i] == 0 || p.name == eximIs && n < 64 {
				continue // Exim waits up to 200 ms after each QUIT whether its client goes first, and few clients measure just that
			}
			quit = append(quit, trial{p.name + ": connect, 220, QUIT", fmt.Sprint(n), func() (float64, error) { return b.greetings(ports[i], n) }})
			message = append(message, trial{p.name + ": one durable message", fmt.Sprint(n), func() (float64, error) {
				return b.source(p, ports[i], n, "-c")
			}})
		}
		if err := errors.Join(b.turns("connections/s", quit...), b.turns("connections/s", message...)); err != nil {
			return err
		}
	}
	return nil
}

// greetings connects from several clients at once.
func (b *bench) greetings(port, clients int) (float64, error) {
	count := b.messages(1200)
	var left, failed atomic.Int64
	var first atomic.Value
	left.Store(int64(count))
	var wg sync.WaitGroup
	began := time.Now()
	for range clients {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := greeting(port); err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, err.Error())
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		return 0, fmt.Errorf("%d of %d connections failed, the first: %v", failed.Load(), count, first.Load())
	}
	return float64(count) / time.Since(began).Seconds(), nil
}

func greeting(port int) error {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	in := bufio.NewReader(c)
	for _, step := range []struct{ want, say string }{{"220", "QUIT\r\n"}, {"221", ""}} {
		line, err := in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, step.want) {
			return fmt.Errorf("%q instead of %s: %w", line, step.want, err)
		}
		if _, err := c.Write([]byte(step.say)); err != nil {
			return err
		}
	}
	return nil
}

// inetdFor starts openbsd-inetd with one service, a process for each connection.
func (b *bench) inetdFor(user, program, args string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	conf := b.file("inetd.conf")
	line := fmt.Sprintf("127.0.0.1:%d stream tcp nowait %s %s %s\n", port, user, program, args)
	if err := os.WriteFile(conf, []byte(line), 0o600); err != nil {
		return nil, err
	}
	s, err := b.start("inetd", "-i", "-R", "1000000", conf)
	if err != nil {
		return nil, err
	}
	s.port = port
	return s, s.await()
}
