//go:build system

package systest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLarge sends 100 MB through smap and smapd: whole, and in the memory that a small message takes.
func TestLarge(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	uid, gid := ids(t, smapdUser)
	maildir := s.file("Maildir")
	s.mkdir(maildir, 0o700, uid, gid)
	s.rules("smap: hostname mx.system.test", "smap: local-domains system.test", "smap: maxbytes 0", "smap, smapd: log stderr",
		"smapd: agent maildir "+maildir)
	port := freePort(t)
	receiver := start(t, program(t, "smap"), "-c", s.table, "-listen", local(port))
	listening(t, port)
	courier := start(t, program(t, "smapd"), "-c", s.table)

	peak := func(p *process) (most int) {
		for _, pid := range p.children() {
			most = max(most, memory(t, pid, "VmHWM"))
		}
		return most
	}
	sendLines(t, port, 100)
	mailbox(t, maildir, 1, 20*time.Second)
	before := []int{peak(receiver), peak(courier)}
	const lines = 1_600_000 // of 64 octets
	sendLines(t, port, lines)
	if !eventually(2*time.Minute, func() bool { n, _ := filepath.Glob(maildir + "/new/*"); return len(n) == 2 }) {
		t.Fatal("the large message did not arrive")
	}
	after := []int{peak(receiver), peak(courier)}
	t.Logf("peak KiB of smap and smapd: %v after a small message, %v after 100 MB", before, after)
	for i := range after {
		if grown := after[i] - before[i]; grown > 8192 {
			t.Errorf("memory grew by %d KiB with the size of the message", grown)
		}
	}
	checkLines(t, filepath.Join(maildir, "new"), lines)
	s.empty()
}

func lineOf(i int) string { return fmt.Sprintf("%010d %s", i, strings.Repeat("y", 52)) }

func sendLines(t *testing.T, port, lines int) {
	t.Helper()
	c := dialSMTP(t, port)
	c.reply("220")
	c.say("EHLO client.test", "250")
	c.say("MAIL FROM:<"+fromAddress+">", "250")
	c.say("RCPT TO:<bob@system.test>", "250")
	c.say("DATA", "354")
	var b bytes.Buffer
	b.WriteString("Subject: large\r\n\r\n")
	for i := range lines {
		b.WriteString(lineOf(i) + "\r\n")
		if b.Len() > 1<<16 || i == lines-1 {
			if _, err := b.WriteTo(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.say(".", "250")
	c.say("QUIT", "221")
}

// checkLines wants one file in dir with exactly these lines, without reading it whole into memory.
func checkLines(t *testing.T, dir string, lines int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		fi, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Size() < 1<<20 {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Seek(-int64(lines)*64, io.SeekEnd); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64)
		for i := range lines {
			if _, err := io.ReadFull(f, buf); err != nil {
				t.Fatal(err)
			}
			if want := lineOf(i) + "\n"; string(buf) != want {
				t.Fatalf("line %d is %q, want %q", i, buf, want)
			}
		}
		return
	}
	t.Error("no large message in the maildir")
}
