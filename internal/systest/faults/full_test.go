//go:build system

package faults

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"

	"golang.org/x/sys/unix"
)

// mountMemory puts the spool on a tmpfs with these options.
func mountMemory(s *kit.Site, options string) {
	s.T.Helper()
	kit.Run(s.T, "mount", "-t", "tmpfs", "-o", options, "tmpfs", s.Spool)
	s.T.Cleanup(func() {
		if err := unix.Unmount(s.Spool, unix.MNT_DETACH); err != nil {
			s.T.Error(err)
		}
	})
	s.MakeSpool()
}

// fillBut takes all the room in the spool but for the last octets, and returns what gives it back.
func fillBut(s *kit.Site, but int64) (free func()) {
	s.T.Helper()
	path := s.Path("filler")
	f, err := os.Create(path)
	if err != nil {
		s.T.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		s.T.Fatal(err)
	}
	fi, err := f.Stat()
	if err != nil {
		s.T.Fatal(err)
	}
	if err := errors.Join(f.Truncate(max(fi.Size()/4096*4096-but, 0)), f.Sync(), f.Close()); err != nil {
		s.T.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			s.T.Error(err)
		}
	}
}

// TestFullInMessage fills the disk in the middle of a message: the client hears 452 and keeps the message, nobody else is
// hurt, and the next one is accepted when there is room again, in the same session.
func TestFullInMessage(t *testing.T) {
	t.Parallel()
	for kind, mount := range map[string]func(*kit.Site){
		"tmpfs": func(s *kit.Site) { mountMemory(s, "size=4m") },
		"ext4":  func(s *kit.Site) { mountDisk(s, 8) },
	} {
		for _, how := range []string{"DATA", "BDAT"} {
			t.Run(kind+" "+how, func(t *testing.T) {
				t.Parallel()
				p := kit.NewPeerOn(t, mount, "smap: minfree 0")
				text := "Subject: big\n\n" + strings.Repeat(strings.Repeat("x", 63)+"\n", 1<<14) // 1 MiB
				c := kit.DialSMTP(t, p.Port)
				c.Reply("220 ")
				c.Say("EHLO client.test", "250")
				send := func(to, want string) {
					t.Helper()
					c.Say("MAIL FROM:<"+kit.FromAddress+">", "250 ")
					c.Say("RCPT TO:<"+to+">", "250 ")
					if how == "DATA" {
						c.Say("DATA", "354 ")
						c.Say(kit.CRLF(text)+".", want)
						return
					}
					data := kit.CRLF(text)
					if _, err := fmt.Fprintf(c, "BDAT %d LAST\r\n%s", len(data), data); err != nil {
						t.Fatal(err)
					}
					c.Reply(want)
				}
				free := fillBut(p.Site, 300<<10)
				send("first@system.test", "452 4.3.1 ")
				p.Nothing(t)
				p.Logged(t, "fwtksyserr: write message client=127.0.0.1 ", "no space left")
				c.Say("NOOP", "250 ")
				free()
				send("second@system.test", "250 2.0.0 Mail accepted")
				c.Say("QUIT", "221 ")
				if got := kit.Split(p.SpooledFor("second@", 1, 0)[0].Content).Rest; got != text {
					t.Error("what was spooled is not what was sent")
				}
				p.SpooledFor("first@", 0, 0)
			})
		}
	}
}

// TestEnvelopeFull leaves room for the content alone: a message without an envelope is none.
func TestEnvelopeFull(t *testing.T) {
	t.Parallel()
	p := kit.NewPeerOn(t, func(s *kit.Site) { mountMemory(s, "size=1m") }, "smap: minfree 0")
	free := fillBut(p.Site, 8192)
	text := "Subject: two pages\n\n" + strings.Repeat(strings.Repeat("x", 63)+"\n", 110)
	c := kit.DialSMTP(t, p.Port)
	c.Reply("220 ")
	c.Transaction("bob@system.test")
	c.Say(kit.CRLF(text)+".", "452 4.3.1 ")
	p.Nothing(t)
	free()
	kit.DialSMTP(t, p.Port).Mail(text, "carl@system.test")
	p.Check(t, false, text, "carl@system.test")
}

// TestNoInodes has room for octets and none for files: at once where minfree looks ahead, else when the file is made.
func TestNoInodes(t *testing.T) {
	t.Parallel()
	for minfree, command := range map[string]string{"0": "DATA", "4096": "MAIL FROM:<" + kit.FromAddress + ">"} {
		t.Run("minfree "+minfree, func(t *testing.T) {
			t.Parallel()
			p := kit.NewPeerOn(t, func(s *kit.Site) { mountMemory(s, "size=4m,nr_inodes=200") }, "smap: minfree "+minfree)
			var files []string
			for {
				f, err := os.CreateTemp(p.Spool, "filler-")
				if errors.Is(err, syscall.ENOSPC) {
					break
				}
				if err := errors.Join(err, f.Close()); err != nil {
					t.Fatal(err)
				}
				files = append(files, f.Name())
			}
			c := kit.DialSMTP(t, p.Port)
			c.Reply("220 ")
			c.Say("EHLO client.test", "250")
			if command == "DATA" {
				c.Say("MAIL FROM:<"+kit.FromAddress+">", "250 ")
				c.Say("RCPT TO:<bob@system.test>", "250 ")
			}
			c.Say(command, "452 4.3.1 ")
			p.Nothing(t)
			p.Logged(t, "fwtksyserr: ", "client=127.0.0.1 ")
			for _, f := range files {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
			text := kit.Message(kit.FromAddress, "carl@system.test", "inodes")
			kit.DialSMTP(t, p.Port).Mail(text, "carl@system.test")
			p.Check(t, false, text, "carl@system.test")
		})
	}
}

// TestNoDescriptors takes all descriptors of smap: one more client has to wait, and gets the first one that is free;
// then there is none for its message. All goes on when there are some.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	p := kit.NewPeerFrom(t, []string{"sh", "-c", `ulimit -n 40 && exec "$@"`, "sh"}, "smap: maxperclient 500")
	var idle []*kit.SMTPConn
	for c := kit.DialSMTP(t, p.Port); c.Greeted(time.Second); c = kit.DialSMTP(t, p.Port) {
		idle = append(idle, c)
		if len(idle) > 40 {
			t.Fatal("40 descriptors serve more than 40 clients")
		}
	}
	p.Logged(t, "fwtksyserr: accept ", "too many open files")
	t.Logf("descriptors for %d clients", len(idle))
	// Two wait now: the one that was not greeted, and the next.
	c := kit.DialSMTP(t, p.Port)
	idle[0].Close()
	idle[1].Close()
	c.Reply("220 ")
	c.Recipients("bob@system.test")
	c.Say("DATA", "451 4.3.0 ")
	p.Logged(t, "fwtksyserr: new message client=127.0.0.1 ", "too many open files")
	for _, c := range idle[2:] {
		c.Close()
	}
	text := kit.Message(kit.FromAddress, "emil@system.test", "descriptors")
	if !kit.Eventually(10*time.Second, func() bool { return p.Sessions() <= 2 }) {
		t.Error("sessions stay")
	}
	kit.DialSMTP(t, p.Port).Mail(text, "emil@system.test")
	p.Check(t, false, text, "emil@system.test")
	p.SpooledFor("bob@", 0, 0)
}
