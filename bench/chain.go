//go:build linux

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// concurrency is how many deliveries each server may have under way to one place.
const concurrency = 20

// patience is how long a chain may deliver nothing.
const patience = 30 * time.Second

// A chain is a server that takes mail and delivers it.
type chain struct {
	name  string
	part  int // it gets one in so many of the messages: some servers are slow
	start func() (*server, error)
	done  func() (int64, error) // how many it has delivered since some time
	*server
}

// chains starts all that are here, side by side. What is missing is named in the report.
func (b *bench) chains(all ...*chain) ([]*chain, func(), error) {
	var here []*chain
	stop := func() {
		for _, c := range here {
			c.stop() //nolint:errcheck // the measurement is over
		}
	}
	for _, c := range all {
		s, err := c.start()
		if s != nil {
			c.server = s
			here = append(here, c)
		}
		if err != nil && !b.lacks(c.name, err) {
			return nil, stop, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return here, stop, nil
}

// rates measures messages per second from the client's first connection to the last delivery.
func (b *bench) rates(all []*chain) error {
	for _, n := range sessions {
		var trials []trial
		for _, c := range all {
			trials = append(trials, trial{c.name, fmt.Sprint(n), func() (float64, error) {
				count := max(b.count(n)/c.part, n)
				began := time.Now()
				err := b.through(c, n, count)
				return float64(count) / time.Since(began).Seconds(), err
			}})
		}
		if err := b.turns("messages/s, delivered", trials...); err != nil {
			return err
		}
	}
	return nil
}

// through sends messages and waits until all are delivered.
func (b *bench) through(c *chain, sessions, count int) error {
	before, err := c.done()
	if err != nil {
		return err
	}
	_, err = b.output("smtp-source", "-m", fmt.Sprint(count), "-s", fmt.Sprint(sessions), "-l", "4096",
		"-f", "a@client.test", "-t", "mail@bench.test", fmt.Sprintf("127.0.0.1:%d", c.port))
	if err != nil {
		return err
	}
	last, progress := int64(0), time.Now()
	for {
		n, err := c.done()
		switch n -= before; {
		case err != nil || n == int64(count):
			return err
		case n > int64(count):
			return fmt.Errorf("%d messages were sent and %d delivered", count, n)
		case n > last:
			last, progress = n, time.Now()
		case time.Since(progress) > patience || b.ctx.Err() != nil:
			return fmt.Errorf("%d of %d messages were delivered", n, count)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// ourChain is smap and smapd on one spool.
func (b *bench) ourChain(spool, agent string) (*server, error) {
	top, err := b.spool(spool, b.uid)
	if err != nil {
		return nil, err
	}
	in, err := b.listen(top)
	if err != nil {
		return in, err
	}
	table, err := b.table("smapd: directory "+top, "smapd: userid mail", "smapd: log stderr", "smapd: badadmin none",
		fmt.Sprintf("smapd: maxchildren %d", concurrency), "smapd: agent "+agent)
	if err != nil {
		return in, err
	}
	out, err := b.start(filepath.Join(b.bin, "smapd"), "-c", table)
	if err != nil {
		return in, err
	}
	return &server{port: in.port, stop: func() error { return errors.Join(in.stop(), out.stop()) },
		pids: func() []int { return append(in.pids(), out.pids()...) }}, nil
}
