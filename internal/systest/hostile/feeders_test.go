//go:build system

package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// hostile is something that no drainer may deliver, in new/ under an id of its own.
type hostile struct {
	id    string
	make  func(t *testing.T, stem string) // stem is the path without the suffix
	stays string                          // the box in which it is left alone; else it is set aside
}

// pair makes a message of these two texts.
func pair(envelope, content string) func(*testing.T, string) {
	return func(t *testing.T, stem string) {
		kit.Put(t, stem+".eml", content)
		kit.Put(t, stem+".envelope", envelope)
	}
}

// envelope makes a message with good content and this envelope; SIZE is the right size.
func envelope(text string) func(*testing.T, string) {
	return pair(strings.ReplaceAll(text, "SIZE", fmt.Sprintf("Size: %d", len(kit.GoodContent))), kit.GoodContent)
}

// special makes a message of which one file is no regular file.
func special(suffix string, make func(path string) error) func(*testing.T, string) {
	return func(t *testing.T, stem string) {
		t.Helper()
		if suffix == ".envelope" {
			kit.Put(t, stem+".eml", kit.GoodContent)
		}
		if err := make(stem + suffix); err != nil {
			t.Fatal(err)
		}
		if suffix == ".eml" {
			kit.Put(t, stem+".envelope", fmt.Sprintf("%sSize: %d\n\n", kit.GoodHead, len(kit.GoodContent)))
		}
	}
}

func symlink(path string) error { return os.Symlink("/etc/passwd", path) }

func fifo(path string) error { return syscall.Mkfifo(path, 0o666) }

func directory(path string) error { return os.Mkdir(path, 0o777) }

func device(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|5) }

func unreadable(path string) error {
	return os.WriteFile(path, []byte(kit.GoodContent), 0o000)
}

func mail(text string) func(*testing.T, string) {
	return func(t *testing.T, stem string) { kit.Put(t, stem+".mail", text) }
}

func hostiles() []hostile {
	long := strings.Repeat("x", 5000)
	list := []hostile{
		{id: "truncated", make: envelope(kit.GoodHead + "SIZE\n")},
		{id: "truncated-line", make: envelope(kit.GoodHead + "SIZE\nRecip")},
		{id: "no-sender", make: envelope("Spool-Format: 1\nRecipient: <b@system.test>\nSIZE\n\n")},
		{id: "two-senders", make: envelope(kit.GoodHead + "Sender: <c@client.test>\nSIZE\n\n")},
		{id: "no-recipient", make: envelope("Spool-Format: 1\nSender: <a@client.test>\nSIZE\n\n")},
		{id: "format-9", make: envelope("Spool-Format: 9\nSender: <a@client.test>\nRecipient: <b@system.test>\nSIZE\n\n")},
		{id: "control", make: envelope(kit.GoodHead + "SIZE\nHelo: a\x1bb\n\n")},
		{id: "nul-envelope", make: envelope(kit.GoodHead + "SIZE\nHelo: a\x00b\n\n")},
		{id: "dash-sender", make: envelope("Spool-Format: 1\nSender: <-oQ/tmp>\nRecipient: <b@system.test>\nSIZE\n\n")},
		{id: "dash-recipient", make: envelope("Spool-Format: 1\nSender: <>\nRecipient: <-oQ@system.test>\nSIZE\n\n")},
		{id: "pipe-recipient", make: envelope("Spool-Format: 1\nSender: <>\nRecipient: <\"|/bin/id\"@system.test>\nSIZE\n\n")},
		{id: "pipe-sender", make: envelope("Spool-Format: 1\nSender: <|id>\nRecipient: <b@system.test>\nSIZE\n\n")},
		{id: "long-line", make: envelope(kit.GoodHead + "SIZE\nX-Long: " + long + "\n\n")},
		{id: "many", make: envelope(kit.GoodHead + strings.Repeat("Recipient: <c@system.test>\n", 10000) + "SIZE\n\n")},
		{id: "huge", make: envelope(kit.GoodHead + strings.Repeat("X-More: "+long[:4000]+"\n", 1100) + "SIZE\n\n")},
		{id: "binary", make: pair("\x7fELF\x00\xff\xfe", kit.GoodContent)},
		{id: "nothing", make: pair("", kit.GoodContent)},
		{id: "nul", make: pair(kit.GoodHead+"Size: 9\n\n", "a: b\n\n\x00\n\n")},
		{id: "cr", make: pair(kit.GoodHead+"Size: 9\n\n", "a: b\n\n\r\n\n")},
		{id: "short", make: pair(kit.GoodHead+"Size: 9\n\n", "a: b\n")},
		{id: "wrong-sum", make: envelope(kit.GoodHead + "SIZE\nSHA256: " + strings.Repeat("0", 64) + "\n\n")},
		{id: "alone", stays: "new", make: func(t *testing.T, stem string) { kit.Put(t, stem+".envelope", kit.GoodHead+"Size: 1\n\n") }},
		{id: "orphan", stays: "new", make: func(t *testing.T, stem string) { kit.Put(t, stem+".eml", kit.GoodContent) }},
		{id: ".dot", stays: "new", make: envelope(kit.GoodHead + "SIZE\n\n")},
		{id: "with space", stays: "new", make: envelope(kit.GoodHead + "SIZE\n\n")},
		{id: "new\nline", stays: "new", make: envelope(kit.GoodHead + "SIZE\n\n")},
		{id: "ends-in.eml", stays: "new", make: envelope(kit.GoodHead + "SIZE\n\n")},
		{id: strings.Repeat("i", 181), stays: "new", make: envelope(kit.GoodHead + "SIZE\n\n")},
		{id: "mail-nobody", make: mail("From: a@client.test\n\nbody\n")},
		{id: "mail-nul", make: mail("From: a@client.test\nTo: b@system.test\n\n\x00\n")},
		{id: "mail-bad", make: mail("From: a@client.test\nTo: b@system.test\nthis is no header\n\nbody\n")},
		{id: "mail-dash", make: mail("From: a@client.test\nTo: -oQ@system.test\n\nbody\n")},
	}
	for name, make := range map[string]func(string) error{"symlink": symlink, "fifo": fifo, "directory": directory,
		"device": device, "unreadable": unreadable} {
		content, env, drop := "", "", ""
		switch name {
		case "directory": // of another user: it cannot be moved
			env, drop = "new", "new"
		case "unreadable": // the system's trouble, not the message's
			content, env, drop = "new", "cur", "new"
		}
		list = append(list, hostile{id: name + "-content", stays: content, make: special(".eml", make)},
			hostile{id: name + "-envelope", stays: env, make: special(".envelope", make)},
			hostile{id: name + "-mail", stays: drop, make: special(".mail", make)})
	}
	return list
}

// TestHostileFeeders: none is delivered, none hangs or stops the courier, each is set aside or ignored with one line
// in the log and none again on later rescans.
func TestHostileFeeders(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewRecorder(t, s)
	who := kit.NewPerson(t, s.Dir, "smt-hostile")
	s.Rules("smapd: log stderr", "smapd: wakeup 5", "smapd: badadmin none", "smapd: sendmail "+agent.Program)
	list := hostiles()
	for _, h := range list {
		h.make(t, s.Path("new", h.id))
	}
	_, group := kit.IDs(t, kit.SmapdUser)
	for _, name := range s.Names("new") {
		if err := os.Lchown(s.Path("new", name), who.Uid, group); err != nil {
			t.Fatal(err)
		}
	}
	daemon := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	// Good ones before, among and after them.
	kit.FeedShells(t, s, who, 2, 5)
	agent.Wait(10, 30*time.Second)
	for range 5 {
		daemon.Signal(syscall.SIGUSR1)
		time.Sleep(200 * time.Millisecond) // else signals become one
	}
	for _, h := range list {
		h.check(t, s, 20*time.Second)
	}
	daemon.Signal(syscall.SIGUSR1)
	kit.Stays(t, 6*time.Second, "nothing more is delivered, in the time of one more rescan by the clock", func() bool {
		return len(agent.Names()) == 10
	})
	for _, h := range list {
		h.logged(t, daemon.Log())
	}
	agent.Wait(10, 0)
}

// check wants the thing where the document says that it ends.
func (h hostile) check(t *testing.T, s *kit.Site, limit time.Duration) {
	t.Helper()
	in := func(box string) bool {
		for _, suffix := range []string{".eml", ".envelope", ".mail"} {
			if _, err := os.Lstat(filepath.Join(s.Spool, box, h.id+suffix)); err == nil {
				return true
			}
		}
		return false
	}
	if h.stays != "" {
		there := func() bool { return in("new") == (h.stays == "new") && in("cur") == (h.stays == "cur") && !in("bad") }
		if !kit.Eventually(limit, there) {
			t.Errorf("%q should stay in %s; new %t, cur %t, bad %t", h.id, h.stays, in("new"), in("cur"), in("bad"))
		}
		return
	}
	if !kit.Eventually(limit, func() bool { return h.aside(s) }) {
		t.Errorf("%q was not set aside; new %t, cur %t, bad %t", h.id, in("new"), in("cur"), in("bad"))
	}
}

// aside: a file of the same beginning lies in bad/ and none in new/. A .mail may have got a fresh id on its way.
func (h hostile) aside(s *kit.Site) bool {
	for _, suffix := range []string{".envelope", ".mail"} {
		if _, err := os.Lstat(s.Path("new", h.id+suffix)); err == nil {
			return false
		}
	}
	for _, name := range s.Names("bad") {
		if strings.HasPrefix(name, h.id+".") {
			return true
		}
	}
	return strings.Contains(h.id, "mail")
}

// logged wants one line for what was set aside or cannot be read, and at most one for what is ignored.
func (h hostile) logged(t *testing.T, log string) {
	t.Helper()
	n := 0
	for line := range strings.Lines(log) {
		if strings.Contains(line, h.id+".") || strings.Contains(line, "id="+h.id+" ") ||
			strings.Contains(line, fmt.Sprintf("%q", h.id)) || strings.HasSuffix(line, "id="+h.id+"\n") {
			n++
		}
	}
	// A directory of another user cannot be moved: one line for it, one for the envelope that was.
	if n != 1 && (n != 0 || h.stays == "" || strings.HasPrefix(h.id, "unreadable-")) && (n != 2 || h.id != "directory-content") {
		t.Errorf("%q is in %d lines of the log, want 1", h.id, n)
	}
}
