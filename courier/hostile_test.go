package courier

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHostileFeeder drops what must never be delivered. Each is set aside or
// ignored with one line in the log, and none again on later rescans.
func TestHostileFeeder(t *testing.T) {
	var got tally
	b := newBench(t, agentFunc(got.Deliver))
	const head = "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\n"
	pair := func(id, env, content string) {
		b.put("new/"+id+".eml", content)
		b.put("new/"+id+".envelope", env)
	}
	aside := map[string]string{
		"truncated":   head + "Size: 2\n",
		"nosender":    "Spool-Format: 1\nRecipient: <b@example.org>\nSize: 2\n\n",
		"twosenders":  head + "Sender: <c@example.com>\nSize: 2\n\n",
		"norecipient": "Spool-Format: 1\nSender: <a@example.com>\nSize: 2\n\n",
		"format9":     strings.Replace(head, "1", "9", 1) + "Size: 2\n\n",
		"control":     head + "Helo: a\x1bb\nSize: 2\n\n",
		"dash":        head + "Recipient: <-oQ@example.org>\nSize: 2\n\n",
		"pipe":        head + "Recipient: <\"|id\"@example.org>\nSize: 2\n\n",
		"many":        head + strings.Repeat("Recipient: <c@example.org>\n", 10000) + "Size: 2\n\n",
		"size":        head + "Size: 3\n\n",
		"empty":       "",
		"full":        head + strings.Repeat("X-Long: "+strings.Repeat("x", 4080)+"\n", 1025) + "Size: 2\n\n",
	}
	for id, env := range aside {
		pair(id, env, "x\n")
	}
	good := head + "Size: 2\n\n"
	pair("cr", good, "\r\n")
	pair("nul", good, "\x00\n")
	b.put("new/link.envelope", good)
	b.put("new/fifo.envelope", good)
	b.put("new/dir.envelope", good)
	for _, err := range []error{
		os.Symlink("/etc/passwd", b.path("new/link.eml")),
		syscall.Mkfifo(b.path("new/fifo.eml"), 0o666),
		os.Mkdir(b.path("new/dir.eml"), 0o777),
		syscall.Mkfifo(b.path("new/fifo.mail"), 0o666),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"cr", "nul", "link", "fifo", "dir"} {
		aside[id] = ""
	}
	b.put("new/nobody.mail", "From: a@example.com\n\nx\n")
	stays := []string{".dot.envelope", "a b.envelope", "orphan.eml", "junk"}
	for _, n := range stays {
		b.put("new/"+n, good)
	}
	if err := os.Mkdir(b.path("new/sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.cfg.Wakeup = 200 * time.Millisecond
	b.run()
	b.message("fine\n")
	for id := range aside {
		b.eventually(id, func() bool { return b.exists("bad/" + id + ".envelope") })
	}
	b.eventually("fifo.mail", func() bool { return !b.exists("new/fifo.mail") })
	b.eventually("nobody.mail", func() bool { return !b.exists("new/nobody.mail") })
	b.eventually("good one", func() bool { return got.len() == 1 })
	for range 5 {
		b.c.Rescan()
		b.nothing(50*time.Millisecond, "a rescan of so few names takes less than a millisecond")
	}
	b.halt()
	for id := range aside {
		want := 1
		if id == "fifo" {
			want = 2 // .mail and .envelope
		}
		if n := b.log.count("msg=aside id=" + id + " "); n != want {
			t.Errorf("%s: %d lines, want %d", id, n, want)
		}
	}
	for _, n := range stays {
		if !b.exists("new/" + n) {
			t.Errorf("%s is gone", n)
		}
	}
	if n := b.log.count("msg=ignored"); n != 4 {
		t.Errorf("%d ignored lines, want 4", n)
	}
	if len(got.n) != 1 {
		t.Errorf("delivered %v", got.n)
	}
}
