//go:build system

package delivery

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestLarge sends 100 MB through smap and smapd: whole, and in the memory that a small message takes.
func TestLarge(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	uid, gid := kit.IDs(t, kit.SmapdUser)
	maildir := s.File("Maildir")
	s.Mkdir(maildir, 0o700, uid, gid)
	s.Rules("smap: hostname mx.system.test", "smap: local-domains system.test", "smap: maxbytes 0", "smap, smapd: log stderr",
		"smapd: agent maildir "+maildir)
	port := kit.FreePort(t)
	receiver := kit.Start(t, kit.Program(t, "smap"), "-c", s.Table, "-listen", kit.Local(port))
	kit.Listening(t, port)
	courier := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)

	peak := func(p *kit.Process) (most int) {
		for _, pid := range p.Children() {
			most = max(most, kit.Memory(t, pid, "VmHWM"))
		}
		return most
	}
	sendLines(t, port, 100)
	kit.Mailbox(t, maildir, 1, 20*time.Second)
	before := []int{peak(receiver), peak(courier)}
	const lines = 1_600_000 // of 64 octets
	sendLines(t, port, lines)
	if !kit.Eventually(2*time.Minute, func() bool { n, _ := filepath.Glob(maildir + "/new/*"); return len(n) == 2 }) {
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
	s.Empty()
}

func lineOf(i int) string { return fmt.Sprintf("%010d %s", i, strings.Repeat("y", 52)) }

func sendLines(t *testing.T, port, lines int) {
	t.Helper()
	c := kit.DialSMTP(t, port)
	c.Reply("220")
	c.Say("EHLO client.test", "250")
	c.Say("MAIL FROM:<"+kit.FromAddress+">", "250")
	c.Say("RCPT TO:<bob@system.test>", "250")
	c.Say("DATA", "354")
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
	c.Say(".", "250")
	c.Say("QUIT", "221")
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
