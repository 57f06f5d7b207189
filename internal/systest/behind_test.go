//go:build system

package systest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// behind is smap in front of a mail server that is set up as a page of contrib/install says. The configuration comes out
// of the page, so that the page is what is tested; only ports and paths are replaced.
type behind struct {
	*site
	page string
	smap int    // the port in place of 25
	mta  int    // the port in place of 10025
	root string // where smapd runs, with the mail server's programs; / is this machine
}

// theirs is the domain of the pages.
const theirs = "example.com"

// newBehind prepares a site for a mail server in a root of its own, or without one for the machine's.
func newBehind(t *testing.T, s *site, page string, r *root) *behind {
	t.Helper()
	b := &behind{site: s, root: "/", smap: freePort(t), mta: freePort(t)}
	b.page = strings.ReplaceAll(readFile(t, filepath.Join("../../contrib/install", page)), "10025", itoa(b.mta))
	if r != nil {
		// smapd there is another name for the user who owns the spool.
		uid, gid := ids(t, smapdUser)
		r.add("etc/passwd", "smapd:x:"+itoa(uid)+":"+itoa(gid)+"::/nonexistent:/usr/sbin/nologin")
		r.add("etc/group", "smapd:x:"+itoa(gid)+":")
		b.root, b.spool = r.dir, r.path("var/spool/smap")
		b.makeSpool()
		binary, err := os.ReadFile(program(t, "smapd"))
		if err != nil {
			t.Fatal(err)
		}
		b.write(r.path("usr/sbin/smapd"), string(binary), 0o755)
	}
	b.rules("smap: hostname smap."+theirs, "smap: local-domains "+theirs, "smap: log stderr")
	return b
}

// listen starts smap where the world would find it.
func (b *behind) listen() *process {
	p := start(b.t, program(b.t, "smap"), "-c", b.table, "-listen", local(b.smap))
	listening(b.t, b.smap)
	return p
}

// block is the example of the page that has these words, without what indents it.
func (b *behind) block(words string) string {
	b.t.Helper()
	for paragraph := range strings.SplitSeq(b.page, "\n\n") {
		if strings.HasPrefix(paragraph, "    ") && strings.Contains(paragraph, words) {
			return strings.TrimPrefix(strings.ReplaceAll("\n"+paragraph, "\n    ", "\n"), "\n") + "\n"
		}
	}
	b.t.Fatalf("the page has no example with %q", words)
	return ""
}

// rule is the page's line of the netperm-table that begins so.
func (b *behind) rule(begin string) string {
	b.t.Helper()
	for line := range strings.Lines(b.page) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, begin) {
			return line
		}
	}
	b.t.Fatalf("the page has no rule %q", begin)
	return ""
}

// hand has smapd, under what its unit takes away, hand over with this rule.
func (b *behind) hand(rule string) *process {
	lines := []string{"smapd: directory /var/spool/smap", "smapd: userid smapd", "smapd: executable /usr/sbin/smapd"}
	name, table := "/usr/sbin/smapd", "/netperm-table"
	if b.root == "/" {
		name, table = program(b.t, "smapd"), b.file("smapd-table")
		lines = []string{"smapd: directory " + b.spool, "smapd: userid " + smapdUser, "smapd: executable " + name}
	}
	lines = append(lines, "smapd: log stderr", "smapd: badadmin none", "smapd: retry 1 1 2", rule)
	b.write(filepath.Join(b.root, table), strings.Join(lines, "\n")+"\n", 0o600)
	return startCommand(b.t, hardened(b.t, b.root, name, "-c", table))
}

// deliver sends bob a letter from another address of this machine, and waits until his mailbox has it from the right
// sender. mailbox gives what he has got so far, each as it was delivered.
func (b *behind) deliver(t *testing.T, subject, rule string, mailbox func() []string) {
	t.Helper()
	smapd := b.hand(rule)
	defer smapd.stop()
	to := "bob@" + theirs
	text := message(fromAddress, to, subject)
	b.send(t, text, to)
	var raw string
	if !eventually(20*time.Second, func() bool {
		for _, raw = range mailbox() {
			if strings.Contains(raw, "\nSubject: "+subject+"\n") {
				return true
			}
		}
		return false
	}) {
		t.Fatalf("the letter did not arrive; smapd says\n%s", smapd.log())
	}
	got := split(raw)
	if got.rest != text {
		t.Errorf("arrived as %q", raw)
	}
	if from := got.head["return-path"]; len(from) != 1 || from[0] != "<"+fromAddress+">" {
		t.Errorf("the sender is %q, want <%s>:\n%s", from, fromAddress, head(raw, 1500))
	}
	b.empty()
}

// client is the address that letters come from.
const client = "127.0.0.5"

func (b *behind) send(t *testing.T, text, to string) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", local(b.smap))
	if err != nil {
		t.Fatal(err)
	}
	newConn(t, c).mail(text, to)
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
			all = append(all, readFile(t, f))
		}
		return all
	}
}

// add appends a line to a file of the root.
func (r *root) add(name, line string) {
	r.t.Helper()
	b, err := os.ReadFile(r.path(name))
	if err == nil {
		err = os.WriteFile(r.path(name), append(b, line+"\n"...), 0o644)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// bob gives the root a user with a home, and tells where it is.
func (r *root) bob(s *site) string {
	r.t.Helper()
	const id = 61999
	r.add("etc/passwd", "bob:x:"+itoa(id)+":"+itoa(id)+":Bob:/home/bob:/bin/sh")
	r.add("etc/group", "bob:x:"+itoa(id)+":")
	s.mkdir(r.path("home/bob"), 0o755, id, id)
	return r.path("home/bob")
}

// hardened is a command, below a root, with what the unit of smapd takes away: capabilities beyond its list, and write
// access to the system, and the umask. There is no systemd here to do it, so it is set by hand; its filter of system calls is not.
func hardened(t *testing.T, root, name string, args ...string) *exec.Cmd {
	t.Helper()
	var keep []string
	for line := range strings.Lines(readFile(t, "../../contrib/systemd/smapd.service")) {
		if caps, ok := strings.CutPrefix(strings.TrimSpace(line), "CapabilityBoundingSet="); ok {
			keep = append(keep, strings.Fields(caps)...)
		}
	}
	if len(keep) < 5 {
		t.Fatalf("capabilities %v", keep)
	}
	bounding := "-all"
	for _, name := range keep {
		bounding += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	const script = `umask 077; caps=$0 root=$1
for dir in "$root/usr" "$root/boot" "$root/etc"; do
	[ ! -d "$dir" ] || { mount --bind "$dir" "$dir" && mount -o remount,ro,bind "$dir"; } || exit 1
done
exec setpriv --bounding-set "$caps" chroot "$@"`
	return exec.Command("unshare", append([]string{"-m", "sh", "-c", script, bounding, root, name}, args...)...)
}
