//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// size measures one large message beside a copy of the same octets into a file, with fsync.
func (b *bench) size() error {
	octets := int64(b.messages(1024)) << 20
	line := bytes.Repeat([]byte("0123456789abcdef"), 5)
	copy(line[len(line)-2:], "\r\n")
	chunk := bytes.Repeat(line, 1000)
	column := fmt.Sprintf("%d MiB", octets>>20)
	dir, err := b.spool("serve", b.uid)
	if err != nil {
		return err
	}
	s, err := b.listen(dir, "smap: maxbytes 0")
	if err != nil {
		return err
	}
	defer s.stop() //nolint:errcheck // the measurement is over
	err = b.turns("MiB/s",
		trial{"floor: write to a file, fsync", column, func() (float64, error) {
			began := time.Now()
			err := writeLarge(filepath.Join(b.disk, "large"), chunk, octets)
			return float64(octets>>20) / time.Since(began).Seconds(), err
		}},
		trial{"smap -listen, DATA", column, func() (float64, error) {
			began := time.Now()
			err := sendLarge(s.port, chunk, octets)
			took := time.Since(began)
			if err == nil {
				err = clear(filepath.Join(dir, "new"))
			}
			return float64(octets>>20) / took.Seconds(), err
		}})
	if err != nil {
		return err
	}
	rss, err := b.largest("smap", "VmHWM")
	b.add("smap -listen, peak memory", column, "KiB", float64(rss))
	return err
}

// writeLarge writes a file, which is gone when it returns.
func writeLarge(path string, chunk []byte, octets int64) error {
	defer os.Remove(path) //nolint:errcheck // made anew each time
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for n := int64(0); n < octets; n += int64(len(chunk)) {
		if _, err := f.Write(chunk); err != nil {
			return err
		}
	}
	return f.Sync()
}

// sendLarge sends one message of at least so many octets.
func sendLarge(port int, chunk []byte, octets int64) error {
	c, err := dial(port)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	err = errors.Join(c.conn.SetDeadline(time.Time{}), c.say("MAIL FROM:<a@client.test>", "250"), c.say("RCPT TO:<b@bench.test>", "250"),
		c.say("DATA", "354"))
	if err != nil {
		return err
	}
	if _, err := c.conn.Write([]byte("Subject: large\r\n\r\n")); err != nil {
		return err
	}
	for n := int64(0); n < octets; n += int64(len(chunk)) {
		if _, err := c.conn.Write(chunk); err != nil {
			return err
		}
	}
	return c.say(".", "250")
}
