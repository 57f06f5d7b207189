//go:build system

package kit

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Bulk feeds many messages fast: as SPOOL-FORMAT.md says, but without the syncs, which only a power cut would miss.
type Bulk struct {
	T        *testing.T
	Spool    string
	Uid, Gid int // whose the files are
}

// OwnFeeder feeds as smapd's own user: the content is delivered from the file itself.
func OwnFeeder(t *testing.T, spool string) *Bulk {
	t.Helper()
	uid, gid := IDs(t, SmapdUser)
	return &Bulk{T: t, Spool: spool, Uid: uid, Gid: gid}
}

// OtherFeeder feeds as smap's user: the content is delivered from a private copy.
func OtherFeeder(t *testing.T, spool string) *Bulk {
	t.Helper()
	uid, _ := IDs(t, SmapUser)
	_, gid := IDs(t, SmapdUser)
	return &Bulk{T: t, Spool: spool, Uid: uid, Gid: gid}
}

// Marked is the text of message number n: who sent it says which it is, and its content says it again.
func Marked(mark string) (sender, content string) {
	return mark + "@client.test", fmt.Sprintf("Subject: %s\n\n.\nbody of %s\n", mark, mark)
}

// Pair commits the message of that mark for these recipients, the mark as its id.
func (b *Bulk) Pair(mark string, recipients ...string) {
	sender, content := Marked(mark)
	b.Commit(mark, sender, content, recipients...)
}

// Commit commits a message with that id, sender, content and recipients.
func (b *Bulk) Commit(id, sender, content string, recipients ...string) {
	var env strings.Builder
	fmt.Fprintf(&env, "Spool-Format: 1\nSender: <%s>\n", sender)
	for _, r := range recipients {
		fmt.Fprintf(&env, "Recipient: <%s>\n", r)
	}
	b.Raw(id, env.String(), content)
}

// Raw commits a message whose envelope has these lines, to which the size is added.
func (b *Bulk) Raw(id, lines, content string) {
	b.write(id+".eml", content)
	b.write(id+".envelope", fmt.Sprintf("%sSize: %d\n\n", lines, len(content)))
	b.move(id + ".eml")
	b.move(id + ".envelope")
}

// Drop commits the message of that mark as a single file, with the fields that a drainer would add.
func (b *Bulk) Drop(mark, recipient string) {
	sender, content := Marked(mark)
	const fields = "Date: Mon, 23 Nov 2026 20:00:00 +0000\nMessage-ID: <%s>\n"
	b.write(mark+".mail", fmt.Sprintf("Return-Path: <%s>\nTo: <%s>\n"+fields+"%s", sender, recipient, sender, content))
	b.move(mark + ".mail")
}

func (b *Bulk) write(name, text string) {
	b.T.Helper()
	path := filepath.Join(b.Spool, "tmp", name)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		b.T.Error(err)
		return
	}
	if err := os.Chown(path, b.Uid, b.Gid); err != nil {
		b.T.Error(err)
	}
}

func (b *Bulk) move(name string) {
	b.T.Helper()
	from, to := filepath.Join(b.Spool, "tmp", name), filepath.Join(b.Spool, "new", name)
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL { // a file system without it
		if err = os.Link(from, to); err == nil {
			err = os.Remove(from)
		}
	}
	if err != nil {
		b.T.Errorf("move %s to new/: %v", name, err)
	}
}

// Drained waits until a drainer has emptied new/ and cur/.
func (s *Site) Drained(limit time.Duration) {
	s.T.Helper()
	if !Eventually(limit, func() bool { return s.Count("new")+s.Count("cur") == 0 }) {
		s.T.Errorf("left in new/: %s; in cur/: %s", Head(strings.Join(s.Names("new"), " "), 500), Head(strings.Join(s.Names("cur"), " "), 500))
	}
}

// CutContent is the content of the message with a mark: most are short, some have many blocks.
func CutContent(mark string) string {
	h := fnv.New32a()
	h.Write([]byte(mark)) //nolint:errcheck // a hash takes all
	n := h.Sum32()
	lines := n >> 8 % 80
	if n%16 == 0 {
		lines *= 40
	}
	return fmt.Sprintf("Subject: %s\n\n%s", mark, strings.Repeat(fmt.Sprintf("line of %s, %08x\n", mark, n), int(lines)))
}

const (
	GoodContent = "Subject: x\n\nbody\n"
	GoodHead    = "Spool-Format: 1\nSender: <a@client.test>\nRecipient: <b@system.test>\n"
)
