//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/smtp"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// clients is how many send at the same time.
const clients = 4

// load has smap and smapd at work on a disk, until n messages were accepted and delivered. The disk's end tells when each
// was: "acked" after the client's 250, "taken" before the agent says that it has the message.
func load(device, kind string, n int, options []string) error {
	marks, err := openMarks(device)
	if err != nil {
		return err
	}
	const dir = "/disk"
	if err := errors.Join(os.MkdirAll(dir, 0o755), unix.Mount(device, dir, kind, unix.MS_NOATIME, "")); err != nil {
		return fmt.Errorf("mount %s: %w", device, err)
	}
	var taken atomic.Int64
	sink, err := newSink(func(mark, _ string) error {
		taken.Add(1)
		return marks.write("taken", mark)
	})
	if err != nil {
		return err
	}
	defer sink.close()
	table, err := site(dir, "smapd: agent lmtp "+sink.address, "smap: sandbox off", "smap: maxperclient 100", "smap: maxsessions 100")
	if err != nil {
		return err
	}
	unix.Sync() // the spool has been there for long
	command := []string{"/bin/smap", "-c", table, "-listen", smtpAddress}
	if len(options) > 0 && options[0] == "no-sync" {
		command = append([]string{"/bin/guest", "without-sync"}, command...)
	}
	smap, err := start(command[0], command[1:]...)
	if err != nil {
		return err
	}
	if err := await("smap listens", func() bool { return dial() == nil }); err != nil {
		return fmt.Errorf("%w\n%s", err, smap.said())
	}
	smapd, err := start("/bin/smapd", "-c", table)
	if err != nil {
		return err
	}
	if err := marks.write("start", kind); err != nil {
		return err
	}
	if err := send(marks, n); err != nil {
		return fmt.Errorf("%w\n%s", err, smap.said())
	}
	if err := await("all is delivered", func() bool { return taken.Load() >= int64(n) }); err != nil {
		return fmt.Errorf("%w: %d of %d\n%s", err, taken.Load(), n, smapd.said())
	}
	fmt.Printf("guest: accepted %d messages, delivered %d\n", n, taken.Load())
	return errors.Join(smap.stop(), smapd.stop(), marks.write("end", kind))
}

// send sends n messages over a few connections.
func send(marks *marks, n int) error {
	var next atomic.Int64
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			c, err := smtp.Dial(smtpAddress)
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Close()
			for k := next.Add(1); k <= int64(n); k = next.Add(1) {
				mark := fmt.Sprintf("m%d", k)
				if errs[i] = sendOne(c, mark); errs[i] != nil {
					return
				}
				if errs[i] = marks.write("acked", mark); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func sendOne(c *smtp.Client, mark string) error {
	if err := c.Mail(mark + "@client.test"); err != nil {
		return err
	}
	if err := c.Rcpt(mark + "@guest.test"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(strings.ReplaceAll(content(mark), "\n", "\r\n"))); err != nil {
		return err
	}
	return w.Close()
}
