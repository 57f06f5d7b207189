//go:build system

package interop

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// behind is smap in front of a mail server that is set up as a page of contrib/install says. The configuration comes out
// of the page, so that the page is what is tested; only ports and paths are replaced.
type behind struct {
	*kit.Site
	page string
	smap int    // the port in place of 25
	mta  int    // the port in place of 10025
	root string // where smapd runs, with the mail server's programs; / is this machine
}

// theirs is the domain of the pages.
const theirs = "example.com"

// newBehind prepares a site for a mail server in a root of its own, or without one for the machine's.
func newBehind(t *testing.T, s *kit.Site, page string, r *kit.Root) *behind {
	t.Helper()
	b := &behind{Site: s, root: "/", smap: kit.FreePort(t), mta: kit.FreePort(t)}
	b.page = strings.ReplaceAll(kit.ReadFile(t, filepath.Join("../../../contrib/install", page)), "10025", itoa(b.mta))
	if r != nil {
		// smapd there is another name for the user who owns the spool.
		uid, gid := kit.IDs(t, kit.SmapdUser)
		add(r, "etc/passwd", "smapd:x:"+itoa(uid)+":"+itoa(gid)+"::/nonexistent:/usr/sbin/nologin")
		add(r, "etc/group", "smapd:x:"+itoa(gid)+":")
		b.root, b.Spool = r.Dir, r.Path("var/spool/smap")
		b.MakeSpool()
		binary, err := os.ReadFile(kit.Program(t, "smapd"))
		if err != nil {
			t.Fatal(err)
		}
		b.Write(r.Path("usr/sbin/smapd"), string(binary), 0o755)
	}
	b.Rules("smap: hostname smap."+theirs, "smap: local-domains "+theirs, "smap: log stderr")
	return b
}

// listen starts smap where the world would find it.
func (b *behind) listen() *kit.Process {
	p := kit.Start(b.T, kit.Program(b.T, "smap"), "-c", b.Table, "-listen", kit.Local(b.smap))
	kit.Listening(b.T, b.smap)
	return p
}

// block is the example of the page that has these words, without what indents it.
func (b *behind) block(words string) string {
	b.T.Helper()
	for paragraph := range strings.SplitSeq(b.page, "\n\n") {
		if strings.HasPrefix(paragraph, "    ") && strings.Contains(paragraph, words) {
			return strings.TrimPrefix(strings.ReplaceAll("\n"+paragraph, "\n    ", "\n"), "\n") + "\n"
		}
	}
	b.T.Fatalf("the page has no example with %q", words)
	return ""
}

// rule is the page's line of the netperm-table that begins so.
func (b *behind) rule(begin string) string {
	b.T.Helper()
	for line := range strings.Lines(b.page) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, begin) {
			return line
		}
	}
	b.T.Fatalf("the page has no rule %q", begin)
	return ""
}

// hand has smapd, under what its unit takes away, hand over with this rule.
func (b *behind) hand(rule string) *kit.Process {
	lines := []string{"smapd: directory /var/spool/smap", "smapd: userid smapd", "smapd: executable /usr/sbin/smapd"}
	name, table := "/usr/sbin/smapd", "/netperm-table"
	if b.root == "/" {
		name, table = kit.Program(b.T, "smapd"), b.File("smapd-table")
		lines = []string{"smapd: directory " + b.Spool, "smapd: userid " + kit.SmapdUser, "smapd: executable " + name}
	}
	lines = append(lines, "smapd: log stderr", "smapd: badadmin none", "smapd: retry 1 1 2", rule)
	b.Write(filepath.Join(b.root, table), strings.Join(lines, "\n")+"\n", 0o600)
	return kit.StartCommand(b.T, kit.Hardened(b.T, b.root, name, "-c", table))
}

// deliver sends bob a letter from another address of this machine, and waits until his mailbox has it from the right
// sender. mailbox gives what he has got so far, each as it was delivered.
func (b *behind) deliver(t *testing.T, subject, rule string, mailbox func() []string) {
	t.Helper()
	smapd := b.hand(rule)
	defer smapd.Stop()
	to := "bob@" + theirs
	text := kit.Message(kit.FromAddress, to, subject)
	b.send(t, text, to)
	var raw string
	if !kit.Eventually(20*time.Second, func() bool {
		for _, raw = range mailbox() {
			if strings.Contains(raw, "\nSubject: "+subject+"\n") {
				return true
			}
		}
		return false
	}) {
		t.Fatalf("the letter did not arrive; smapd says\n%s", smapd.Log())
	}
	got := kit.Split(raw)
	if got.Rest != text {
		t.Errorf("arrived as %q", raw)
	}
	if from := got.Head["return-path"]; len(from) != 1 || from[0] != "<"+kit.FromAddress+">" {
		t.Errorf("the sender is %q, want <%s>:\n%s", from, kit.FromAddress, kit.Head(raw, 1500))
	}
	b.Empty()
}

// client is the address that letters come from.
const client = "127.0.0.5"

func (b *behind) send(t *testing.T, text, to string) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", kit.Local(b.smap))
	if err != nil {
		t.Fatal(err)
	}
	kit.NewConn(t, c).Mail(text, to)
}

// maildir is a mailbox for deliver.
func maildir(t *testing.T, path string) func() []string {
	return func() []string {
		var all []string
		files, err := filepath.Glob(filepath.Join(path, "new", "*"))
		if err != nil {
			t.Error(err)
		}
		for _, f := range files {
			all = append(all, kit.ReadFile(t, f))
		}
		return all
	}
}

// add appends a line to a file of the root.
func add(r *kit.Root, name, line string) {
	r.T.Helper()
	b, err := os.ReadFile(r.Path(name))
	if err == nil {
		err = os.WriteFile(r.Path(name), append(b, line+"\n"...), 0o644)
	}
	if err != nil {
		r.T.Fatal(err)
	}
}

// bob gives the root a user with a home, and tells where it is.
func bob(r *kit.Root, s *kit.Site) string {
	r.T.Helper()
	const id = 61999
	add(r, "etc/passwd", "bob:x:"+itoa(id)+":"+itoa(id)+":Bob:/home/bob:/bin/sh")
	add(r, "etc/group", "bob:x:"+itoa(id)+":")
	s.Mkdir(r.Path("home/bob"), 0o755, id, id)
	return r.Path("home/bob")
}

func itoa(n int) string { return strconv.Itoa(n) }
