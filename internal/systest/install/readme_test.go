//go:build system

package install

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"smap/internal/systest/kit"

	"golang.org/x/sys/unix"
)

// readme is README.md, whose commands and tables are run.
type readme struct {
	t    *testing.T
	text string
}

// block is the example that has these words, without what indents it and without the remarks behind its lines.
func (r readme) block(words string) string {
	r.t.Helper()
	for paragraph := range strings.SplitSeq(r.text, "\n\n") {
		if !strings.HasPrefix(paragraph, "    ") || !strings.Contains(paragraph, words) {
			continue
		}
		var lines []string
		for line := range strings.Lines(paragraph) {
			line, _, _ = strings.Cut(line, "  # ")
			lines = append(lines, strings.TrimSpace(line))
		}
		return strings.Join(lines, "\n") + "\n"
	}
	r.t.Fatalf("README has no example with %q", words)
	return ""
}

// TestReadme follows README on a Debian without systemd, as a new user would: install, users, spool, table, smap, smapd, each
// of the three recipes. Only the port is another one.
func TestReadme(t *testing.T) {
	t.Parallel()
	doc := readme{t, kit.ReadFile(t, kit.Tree("README.md"))}
	s := kit.NewSite(t)
	r := kit.NewRoot(t, s, "passwd", "login", "dash", "coreutils", "mawk", "sed", "grep")
	const local = "PATH=/usr/local/sbin:/usr/local/bin:$PATH; "
	shell := func(command string) string { t.Helper(); return r.Run("", "/bin/sh", "-ec", local+command) }
	kit.Run(t, "mount", "-t", "proc", "none", r.Path("proc"))
	t.Cleanup(func() {
		if err := unix.Unmount(r.Path("proc"), unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	install := doc.block("sudo make install")
	if !strings.Contains(install, "make build\n") {
		t.Errorf("README installs with %q", install)
	}
	kit.Run(t, "make", "-s", "-C", kit.Tree(), "install", "DESTDIR="+r.Dir)
	shell(doc.block("groupadd --system smapfeed"))
	shell(doc.block("smapq -d /var/spool/smap init"))

	const path = "usr/local/etc/netperm-table"
	if err := os.MkdirAll(r.Path("usr/local/etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	table := doc.block("local-domains example.com")
	s.Write(r.Path(path), table, 0o600)
	if out, err := r.Command("/usr/local/share/smap/recipes/recipients", "passwd", "/etc/smap/recipients", "example.com").CombinedOutput(); err == nil {
		t.Errorf("without awk there are recipients: %s", out)
	}
	if err := os.Symlink("mawk", r.Path("usr/bin/awk")); err != nil {
		t.Fatal(err)
	}
	shell("/usr/local/share/smap/recipes/recipients passwd /etc/smap/recipients example.com")
	if out := shell("smap -t 2>&1 && smapd -t 2>&1"); strings.Count(out, ": ok") != 2 {
		t.Errorf("smap -t && smapd -t say %s", out)
	}

	// smap receives: a message for a known recipient gets 250.
	port := kit.FreePort(t)
	listen := strings.Fields(strings.Replace(doc.block("smap -listen :25"), ":25", kit.Local(port), 1))
	kit.StartCommand(t, r.Command("/usr/local/sbin/smap", append(listen[1:], "-log", "stderr")...))
	kit.Listening(t, port)
	c := kit.DialSMTP(t, port)
	c.Reply("220 ")
	c.Transaction("root@example.com")
	c.Say("Subject: from the network\r\n\r\nx\r\n.", "250 2.0.0 Mail accepted")
	c.Say("MAIL FROM:<a@client.test>", "250 ")
	c.Say("RCPT TO:<nobody-here@example.com>", "550 ")

	// A script on every mail.
	uid, gid := ids(t, r, "smapd")
	s.Mkdir(r.Path("srv"), 0o700, uid, gid)
	s.Write(r.Path("usr/local/bin/on-mail"), "#!/bin/sh\necho \"args $*\" >>/srv/mail && cat >>/srv/mail\n", 0o755)
	script := strings.Replace(table, "agent smtp 127.0.0.1:10025 tls none xclient", strings.TrimPrefix(strings.TrimSpace(doc.block("agent exec /usr/local/bin/on-mail")), "smapd: "), 1)
	if script == table {
		t.Fatal("the agent of the first table is another one")
	}
	s.Write(r.Path(path), script, 0o600)
	delivered := func(want string) {
		t.Helper()
		shell("smapd -log stderr -once")
		if got, _ := os.ReadFile(r.Path("srv/mail")); !strings.Contains(string(got), want) {
			t.Errorf("the script got %q, want %q", got, want)
		}
	}
	delivered("args " + kit.FromAddress + " root@example.com\n")
	s.Write(r.Path(path), table+doc.block("smapd: lane script exec"), 0o600)
	if out := shell("smapd -t robot@example.com ann@example.com 2>/dev/null"); !strings.Contains(out, "robot@example.com: lane script, exec /usr/local/bin/on-mail") ||
		!strings.Contains(out, "\nann@example.com: smtp ") {
		t.Errorf("the lane: %s", out)
	}
	s.Write(r.Path(path), script, 0o600)

	// A message from a shell script of somebody in the group.
	shell("useradd --no-create-home --groups smapfeed ann")
	annID, _ := ids(t, r, "ann")
	_, feeders := ids(t, r, "smap")
	s.Mkdir(r.Path("home"), 0o755, annID, annID)
	s.Write(r.Path("home/message"), "From: ann@example.com\nTo: bob@example.com\nSubject: dropped\n\nx\n", 0o644)
	as := func(command string) {
		t.Helper()
		cmd := r.Command("/bin/sh", "-ec", local+"cd /home; "+command)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(annID), Gid: uint32(annID), Groups: []uint32{uint32(feeders)}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v, %s", command, err, out)
		}
	}
	as(doc.block("t=$(mktemp"))
	delivered("args ann@example.com bob@example.com\n")
	as("smapq submit carl@example.com <message")

	// Without a daemon.
	shell(`cd /usr/local/bin && smapq take ./on-mail`)
	if got := kit.ReadFile(t, r.Path("srv/mail")); strings.Count(got, "Subject: dropped\n") != 2 {
		t.Errorf("without a daemon the script got %q", got)
	}
	if !strings.Contains(doc.text, "`smapq take --follow ./on-mail`") {
		t.Error("README takes without a daemon in another way")
	}
	if line := strings.Join(strings.Fields(doc.block("nowait.6000")), " "); !strings.Contains(strings.Join(strings.Fields(kit.ReadFile(t, kit.Tree("contrib/inetd/inetd.conf"))), " "), line) {
		t.Errorf("contrib/inetd has no line %q", line)
	}
	kit.Run(t, "make", "-s", "-C", kit.Tree(), "uninstall", "DESTDIR="+r.Dir)
	if names, _ := filepath.Glob(r.Path("usr/local/*bin/smap*")); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

// ids are a user's of the root.
func ids(t *testing.T, r *kit.Root, name string) (uid, gid int) {
	t.Helper()
	for line := range strings.Lines(kit.ReadFile(t, r.Path("etc/passwd"))) {
		if f := strings.Split(line, ":"); f[0] == name {
			if n, err := fmt.Sscan(f[2]+" "+f[3], &uid, &gid); n == 2 && err == nil {
				return uid, gid
			}
		}
	}
	t.Fatalf("no user %s", name)
	return 0, 0
}
