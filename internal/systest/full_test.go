//go:build system

package systest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mountMemory puts the spool on a tmpfs with these options.
func (s *site) mountMemory(options string) {
	s.t.Helper()
	run(s.t, "mount", "-t", "tmpfs", "-o", options, "tmpfs", s.spool)
	s.t.Cleanup(func() {
		if err := unix.Unmount(s.spool, unix.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
	s.makeSpool()
}

// fillBut takes all the room in the spool but for the last octets, and returns what gives it back.
func (s *site) fillBut(but int64) (free func()) {
	s.t.Helper()
	path := s.path("filler")
	f, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		s.t.Fatal(err)
	}
	fi, err := f.Stat()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(max(fi.Size()/4096*4096-but, 0)), f.Sync(), f.Close()); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			s.t.Error(err)
		}
	}
}

// TestFullInMessage fills the disk in the middle of a message: the client hears 452 and keeps the message, nobody else is
// hurt, and the next one is accepted when there is room again, in the same session.
func TestFullInMessage(t *testing.T) {
	t.Parallel()
	for kind, mount := range map[string]func(*site){
		"tmpfs": func(s *site) { s.mountMemory("size=4m") },
		"ext4":  func(s *site) { s.mountDisk(8) },
	} {
		for _, how := range []string{"DATA", "BDAT"} {
			t.Run(kind+" "+how, func(t *testing.T) {
				t.Parallel()
				p := newPeerOn(t, mount, "smap: minfree 0")
				text := "Subject: big\n\n" + strings.Repeat(strings.Repeat("x", 63)+"\n", 1<<14) // 1 MiB
				c := dialSMTP(t, p.port)
				c.reply("220 ")
				c.say("EHLO client.test", "250")
				send := func(to, want string) {
					t.Helper()
					c.say("MAIL FROM:<"+fromAddress+">", "250 ")
					c.say("RCPT TO:<"+to+">", "250 ")
					if how == "DATA" {
						c.say("DATA", "354 ")
						c.say(crlf(text)+".", want)
						return
					}
					data := crlf(text)
					if _, err := fmt.Fprintf(c, "BDAT %d LAST\r\n%s", len(data), data); err != nil {
						t.Fatal(err)
					}
					c.reply(want)
				}
				free := p.fillBut(300 << 10)
				send("first@system.test", "452 4.3.1 ")
				p.nothing(t)
				p.logged(t, "fwtksyserr: write message client=127.0.0.1 ", "no space left")
				c.say("NOOP", "250 ")
				free()
				send("second@system.test", "250 2.0.0 Mail accepted")
				c.say("QUIT", "221 ")
				if got := split(p.spooledFor("second@", 1, 0)[0].content).rest; got != text {
					t.Error("what was spooled is not what was sent")
				}
				p.spooledFor("first@", 0, 0)
			})
		}
	}
}

// TestEnvelopeFull leaves room for the content alone: a message without an envelope is none.
func TestEnvelopeFull(t *testing.T) {
	t.Parallel()
	p := newPeerOn(t, func(s *site) { s.mountMemory("size=1m") }, "smap: minfree 0")
	free := p.fillBut(8192)
	text := "Subject: two pages\n\n" + strings.Repeat(strings.Repeat("x", 63)+"\n", 110)
	c := dialSMTP(t, p.port)
	c.reply("220 ")
	c.transaction("bob@system.test")
	c.say(crlf(text)+".", "452 4.3.1 ")
	p.nothing(t)
	free()
	dialSMTP(t, p.port).mail(text, "carl@system.test")
	p.check(t, false, text, "carl@system.test")
}

// TestNoInodes has room for octets and none for files: at once where minfree looks ahead, else when the file is made.
func TestNoInodes(t *testing.T) {
	t.Parallel()
	for minfree, command := range map[string]string{"0": "DATA", "4096": "MAIL FROM:<" + fromAddress + ">"} {
		t.Run("minfree "+minfree, func(t *testing.T) {
			t.Parallel()
			p := newPeerOn(t, func(s *site) { s.mountMemory("size=4m,nr_inodes=200") }, "smap: minfree "+minfree)
			var files []string
			for {
				f, err := os.CreateTemp(p.spool, "filler-")
				if errors.Is(err, syscall.ENOSPC) {
					break
				}
				if err := errors.Join(err, f.Close()); err != nil {
					t.Fatal(err)
				}
				files = append(files, f.Name())
			}
			c := dialSMTP(t, p.port)
			c.reply("220 ")
			c.say("EHLO client.test", "250")
			if command == "DATA" {
				c.say("MAIL FROM:<"+fromAddress+">", "250 ")
				c.say("RCPT TO:<bob@system.test>", "250 ")
			}
			c.say(command, "452 4.3.1 ")
			p.nothing(t)
			p.logged(t, "fwtksyserr: ", "client=127.0.0.1 ")
			for _, f := range files {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
			text := message(fromAddress, "carl@system.test", "inodes")
			dialSMTP(t, p.port).mail(text, "carl@system.test")
			p.check(t, false, text, "carl@system.test")
		})
	}
}

// TestNoDescriptors takes all descriptors of smap: one more client has to wait, and gets the first one that is free;
// then there is none for its message. All goes on when there are some.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	p := newPeerFrom(t, []string{"sh", "-c", `ulimit -n 40 && exec "$@"`, "sh"}, "smap: maxperclient 500")
	var idle []*smtpConn
	for c := dialSMTP(t, p.port); c.greeted(time.Second); c = dialSMTP(t, p.port) {
		idle = append(idle, c)
		if len(idle) > 40 {
			t.Fatal("40 descriptors serve more than 40 clients")
		}
	}
	p.logged(t, "fwtksyserr: accept ", "too many open files")
	t.Logf("descriptors for %d clients", len(idle))
	// Two wait now: the one that was not greeted, and the next.
	c := dialSMTP(t, p.port)
	idle[0].Close()
	idle[1].Close()
	c.reply("220 ")
	c.recipients("bob@system.test")
	c.say("DATA", "451 4.3.0 ")
	p.logged(t, "fwtksyserr: new message client=127.0.0.1 ", "too many open files")
	for _, c := range idle[2:] {
		c.Close()
	}
	text := message(fromAddress, "emil@system.test", "descriptors")
	if !eventually(10*time.Second, func() bool { return p.sessions() <= 2 }) {
		t.Error("sessions stay")
	}
	dialSMTP(t, p.port).mail(text, "emil@system.test")
	p.check(t, false, text, "emil@system.test")
	p.spooledFor("bob@", 0, 0)
}
