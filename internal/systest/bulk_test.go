//go:build system

package systest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bulk feeds many messages fast: as SPOOL-FORMAT.md says, but without the syncs, which only a power cut would miss.
type bulk struct {
	t        *testing.T
	spool    string
	uid, gid int // whose the files are
}

// ownFeeder feeds as smapd's own user: the content is delivered from the file itself.
func ownFeeder(t *testing.T, spool string) *bulk {
	t.Helper()
	uid, gid := ids(t, smapdUser)
	return &bulk{t: t, spool: spool, uid: uid, gid: gid}
}

// otherFeeder feeds as smap's user: the content is delivered from a private copy.
func otherFeeder(t *testing.T, spool string) *bulk {
	t.Helper()
	uid, _ := ids(t, smapUser)
	_, gid := ids(t, smapdUser)
	return &bulk{t: t, spool: spool, uid: uid, gid: gid}
}

// marked is the text of message number n: who sent it says which it is, and its content says it again.
func marked(mark string) (sender, content string) {
	return mark + "@client.test", fmt.Sprintf("Subject: %s\n\n.\nbody of %s\n", mark, mark)
}

// pair commits the message of that mark for these recipients, the mark as its id.
func (b *bulk) pair(mark string, recipients ...string) {
	sender, content := marked(mark)
	b.commit(mark, sender, content, recipients...)
}

func (b *bulk) commit(id, sender, content string, recipients ...string) {
	var env strings.Builder
	fmt.Fprintf(&env, "Spool-Format: 1\nSender: <%s>\n", sender)
	for _, r := range recipients {
		fmt.Fprintf(&env, "Recipient: <%s>\n", r)
	}
	b.raw(id, env.String(), content)
}

// raw commits a message whose envelope has these lines, to which the size is added.
func (b *bulk) raw(id, lines, content string) {
	b.write(id+".eml", content)
	b.write(id+".envelope", fmt.Sprintf("%sSize: %d\n\n", lines, len(content)))
	b.move(id + ".eml")
	b.move(id + ".envelope")
}

// drop commits the message of that mark as a single file.
func (b *bulk) drop(mark, recipient string) {
	sender, content := marked(mark)
	b.write(mark+".mail", fmt.Sprintf("Return-Path: <%s>\nTo: <%s>\n%s", sender, recipient, content))
	b.move(mark + ".mail")
}

func (b *bulk) write(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.spool, "tmp", name)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		b.t.Error(err)
		return
	}
	if err := os.Chown(path, b.uid, b.gid); err != nil {
		b.t.Error(err)
	}
}

func (b *bulk) move(name string) {
	b.t.Helper()
	from, to := filepath.Join(b.spool, "tmp", name), filepath.Join(b.spool, "new", name)
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL { // a file system without it
		if err = os.Link(from, to); err == nil {
			err = os.Remove(from)
		}
	}
	if err != nil {
		b.t.Errorf("move %s to new/: %v", name, err)
	}
}

// drained waits until a drainer has emptied new/ and cur/.
func (s *site) drained(limit time.Duration) {
	s.t.Helper()
	if !eventually(limit, func() bool { return s.count("new")+s.count("cur") == 0 }) {
		s.t.Errorf("left in new/: %s; in cur/: %s", head(strings.Join(s.names("new"), " "), 500), head(strings.Join(s.names("cur"), " "), 500))
	}
}
