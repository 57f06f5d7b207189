//go:build system

package delivery

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"smap/internal/systest/kit"

	"golang.org/x/sys/unix"
)

// newFedSite is a site whose spool smapq has made for the feeders' group.
func newFedSite(t *testing.T) *kit.Site {
	t.Helper()
	s := kit.NewSite(t)
	if err := os.RemoveAll(s.Spool); err != nil {
		t.Fatal(err)
	}
	kit.Run(t, kit.Program(t, "smapq"), "-d", s.Spool, "init", "--user", kit.SmapdUser, "--group", kit.Feeders)
	return s
}

// member runs a shell command as a member of the feeders' group.
func member(t *testing.T, who kit.Person, script string) (string, error) {
	t.Helper()
	return kit.As(t, who.Uid, kit.GroupID(t, kit.Feeders), "/bin/sh", "-c", script)
}

// TestFeedersWithoutPrivilege: members of a group feed a spool, and the worst of them cannot read, take, stop or change
// another's message.
func TestFeedersWithoutPrivilege(t *testing.T) {
	t.Parallel()
	s := newFedSite(t)
	rec := kit.NewRecorder(t, s)
	ann, mallory := kit.NewPerson(t, s.Dir, "smt-ann"), kit.NewPerson(t, s.Dir, "smt-mallory")
	smapq := kit.Program(t, "smapq") + " -d " + s.Spool + " "
	out, err := member(t, ann, "printf 'Subject: secret\\n\\nfor bob\\n' | "+smapq+"submit -f ann@example.com bob@example.org")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	victim := strings.TrimSpace(out)
	eml, env := s.Path("new", victim+".eml"), s.Path("new", victim+".envelope")
	for what, script := range map[string]string{
		"read":                     "cat " + eml,
		"read the envelope":        "cat " + env,
		"write":                    "echo x >>" + eml,
		"remove":                   "rm -f " + eml,
		"remove the envelope":      "rm -f " + env,
		"rename":                   "mv -f " + env + " " + s.Path("new", "mine.envelope"),
		"replace":                  "touch " + s.Path("tmp", "x") + "; mv -f " + s.Path("tmp", "x") + " " + eml,
		"link":                     "ln " + eml + " " + s.Path("new", "mine.eml"),
		"change the mode":          "chmod 666 " + eml,
		"lock":                     "exec flock -n " + eml + " true",
		"look into cur":            "ls " + s.Path("cur"),
		"make a file in cur":       "touch " + s.Path("cur", victim+".eml"),
		"look into bad":            "ls " + s.Path("bad"),
		"remove a box":             "rmdir " + s.Path("tmp"),
		"rename a box":             "mv " + s.Path("bad") + " " + s.Path("worse"),
		"see who else feeds":       "ls " + s.Path("tmp"),
		"see the queue":            smapq + "list",
		"delete with smapq":        smapq + "delete -y " + victim,
		"take with smapq":          smapq + "take cat",
		"mend with smapq":          smapq + "check --repair",
		"requeue with smapq":       smapq + "requeue --all",
		"change the spool's modes": smapq + "init",
	} {
		if out, err := member(t, mallory, script); err == nil {
			t.Errorf("a feeder may %s: %s", what, out)
		}
	}
	hostileMember(t, s, mallory, victim)
	uid, gid := kit.IDs(t, kit.SmapdUser)
	s.Rules("smapd: agent exec "+rec.Program+" -f {sender} -- {recipients}", "smapd: wakeup 1")
	daemon := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	// Mallory's other message is delivered or set aside, as what she writes just then has it.
	over := func() bool {
		return len(rec.Names())+len(s.Names("bad"))/2 >= 2 && !strings.Contains(strings.Join(s.Names("cur"), " "), victim)
	}
	if !kit.Eventually(30*time.Second, over) {
		t.Errorf("not over in time: called %d times, in bad %q, in cur %q", len(rec.Names()), s.Names("bad"), s.Names("cur"))
	}
	var came bool
	for _, c := range rec.Calls() {
		switch c.Sender() {
		case "ann@example.com":
			came = strings.HasSuffix(c.Content, "\nfor bob\n") && strings.Contains(c.Content, "Subject: secret\n")
		case "mallory@example.com":
			if strings.Contains(c.Content, "\r") || len(c.Content) != keptSize {
				t.Error("a content changed after it was checked")
			}
		default:
			t.Errorf("a message from %q", c.Sender())
		}
	}
	if !came {
		t.Error("ann's message did not come as it was sent")
	}
	// What mallory locked waits, and nothing else; what stands in the way of ids is waited with.
	if out, err := kit.As(t, uid, gid, kit.Program(t, "smapq"), "-d", s.Spool, "list", "--ids"); err != nil || !strings.Contains(out, "locked") || strings.Contains(out, victim) {
		t.Errorf("in the spool: %v: %s", err, out)
	}
	daemon.Stop()
}

// keptSize is the size of a content that takes a moment to check and to deliver.
const keptSize = 7 << 17

// hostileMember leaves what a hostile feeder can: a lock for ever, a descriptor to write later, links and files under
// another's id.
func hostileMember(t *testing.T, s *kit.Site, who kit.Person, victim string) {
	t.Helper()
	group := kit.GroupID(t, kit.Feeders)
	feed := func(id, content string) string {
		env := fmt.Sprintf("Spool-Format: 1\nSender: <mallory@example.com>\nRecipient: <bob@example.org>\nSize: %d\n\n", len(content))
		for name, text := range map[string]string{id + ".eml": content, id + ".envelope": env} {
			tmp := s.Write(s.Path("tmp", name), text, 0o640)
			if err := errors.Join(os.Chown(tmp, who.Uid, -1), os.Rename(tmp, s.Path("new", name))); err != nil {
				t.Fatal(err)
			}
		}
		return s.Path("new", id+".eml")
	}
	// A lock that is never given up.
	kit.Start(t, "/bin/sh", "-c", fmt.Sprintf("exec flock %s sleep 600", feed("locked", "Subject: x\n\nx\n")))
	// A descriptor that is kept, to write what nobody may deliver at the moment between check and delivery.
	kept, err := os.OpenFile(feed("kept", strings.Repeat("honest\n", keptSize/7)), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				text := []string{"honest\n", "forge\r\n"}[n%2]
				_, _ = kept.WriteAt([]byte(text), int64(n%(keptSize/7))*7) // the test looks at what was delivered
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done; kept.Close() })
	// Another's content linked in, where the system lets that happen, and files under the ids of others.
	out, _ := kit.As(t, who.Uid, group, "/bin/sh", "-c", "ln "+s.Path("new", victim+".eml")+" "+s.Path("new", "linked.eml"))
	if _, err := os.Lstat(s.Path("new", "linked.eml")); err == nil {
		t.Errorf("another's content could be linked in; fs.protected_hardlinks keeps that from happening: %s", out)
	}
	if err := unix.Mkfifo(s.Path("new", "fifo.eml"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSmapqSendmail: smapq as sendmail serves a user who cannot read the table, and the programs that people use.
func TestSmapqSendmail(t *testing.T) {
	s := newFedSite(t)
	ann := kit.NewPerson(t, s.Dir, "smt-sender")
	const usual, table = "/var/spool/smap", "/usr/local/etc/netperm-table"
	for _, path := range []string{usual, table} {
		if _, err := os.Lstat(path); err == nil {
			t.Fatalf("%s is there already; this test wants a machine without an installation", path)
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(table), 0o755), os.Symlink(s.Spool, usual)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(usual); os.Remove(table) })
	s.Write(table, "*: directory /nowhere\n", 0o600)
	bin := s.File("bin")
	s.Mkdir(bin, 0o755, 0, 0)
	for _, name := range []string{"sendmail", "mailq"} {
		if err := os.Symlink(kit.Program(t, "smapq"), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	sendmail := filepath.Join(bin, "sendmail")
	python := s.Write(s.File("mail.py"), fmt.Sprintf("import subprocess\nsubprocess.run([%q, '-t', '-oi'], check=True,\n"+
		"    input=b'From: a@example.com\\nTo: python@example.org\\n\\nx\\n')\n", sendmail), 0o644)
	for who, script := range map[string]string{
		"cron":   "printf 'From: root (Cron Daemon)\\nTo: cron\\nSubject: Cron\\n\\n.\\nx\\n' | " + sendmail + " -i -FCronDaemon -B8BITMIME -oem cron",
		"python": "/usr/bin/python3 " + python,
		"snail":  "echo x | s-nail -S mta=" + sendmail + " -S sendwait -n -s hello snail@example.org",
		"php":    "php -d sendmail_path='" + sendmail + " -t -i' -r 'exit(mail(\"php@example.org\", \"hello\", \"x\") ? 0 : 1);'",
		"git": "set -e; export HOME=" + ann.Home + "; mkdir -p $HOME/repo; cd $HOME/repo; git init -q; git config user.email a@example.com; git config user.name Ann; " +
			"echo x >x; git add x; git commit -q -m x; git format-patch -q --root -o .. HEAD; git send-email --quiet --confirm=never --to=git@example.org --sendmail-cmd='" + sendmail + " -i' ../0001-x.patch",
	} {
		if out, err := member(t, ann, script); err != nil {
			t.Errorf("%s: %v: %s", who, err, out)
		}
	}
	list := kit.Run(t, kit.Program(t, "smapq"), "-d", s.Spool, "list", "--json")
	for _, to := range []string{"cron", "python@example.org", "snail@example.org", "php@example.org", "git@example.org"} {
		if strings.Count(list, `"address":"`+to+`"`) != 1 {
			t.Errorf("no message for %s, or more than one:\n%s", to, list)
		}
	}
	if out := kit.Run(t, kit.Program(t, "smapq"), "-d", s.Spool, "check"); !strings.Contains(out, "All is in order.") {
		t.Errorf("check: %s", out)
	}
	// A stranger is no feeder.
	if out, err := kit.As(t, ann.Uid, ann.Gid, "/bin/sh", "-c", "echo x | "+sendmail+" bob@example.org; test $? -eq 77"); err != nil {
		t.Errorf("who is not in the group: %v: %s", err, out)
	}
}

// TestSmapqWatch looks at watch on a terminal of 80 columns, and after it was made smaller.
func TestSmapqWatch(t *testing.T) {
	t.Parallel()
	s := newFedSite(t)
	socket := s.File("tmux")
	tmux := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("tmux", append([]string{"-S", socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	tmux("new-session", "-d", "-x", "80", "-y", "24", "env LANG=C NO_COLOR=1 "+kit.Program(t, "smapq")+" -d "+s.Spool+" watch --every 200ms")
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", socket, "kill-server").Run() }) // it may have ended
	shows := func(width int, wants ...string) {
		t.Helper()
		var screen string
		ok := kit.Eventually(20*time.Second, func() bool {
			screen = tmux("capture-pane", "-p")
			for _, w := range wants {
				if !strings.Contains(screen, w) {
					return false
				}
			}
			for line := range strings.Lines(screen) {
				if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > width {
					return false
				}
			}
			return true
		})
		if !ok {
			t.Errorf("the screen of %d columns lacks one of %q:\n%s", width, wants, screen)
		}
	}
	shows(80, "STATE", "MESSAGES", "delivering         0", "arrived ")
	cmd := exec.Command(kit.Program(t, "smapq"), "-d", s.Spool, "submit", "bob@example.org")
	cmd.Stdin = strings.NewReader("Subject: x\n\nx\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	shows(80, "new                1", "1 arrived, 0 delivered")
	tmux("resize-window", "-x", "50", "-y", "12")
	shows(50, "new                1", "1 arrived, 0 delivered")
	kit.Run(t, kit.Program(t, "smapq"), "-d", s.Spool, "take", "-q", "true")
	shows(50, "new                0", "1 arrived, 1 delivered")
	tmux("send-keys", "C-c")
	if !kit.Eventually(10*time.Second, func() bool { return exec.Command("tmux", "-S", socket, "has-session").Run() != nil }) {
		t.Error("watch did not end when it was interrupted")
	}
}
