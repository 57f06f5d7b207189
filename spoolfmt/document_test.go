package spoolfmt_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// example is a shell block of SPOOL-FORMAT.md and the comment before it.
var example = regexp.MustCompile("(?s)(?:<!-- example: ([a-z]+) ([a-z]+) -->\n)?```sh\n(.*?)```\n")

// examples extracts every shell block of the document; one without a marker
// would be one that nothing runs.
func examples(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../SPOOL-FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range example.FindAllStringSubmatch(string(text), -1) {
		if m[1] == "" {
			t.Errorf("a shell block has no marker:\n%s", m[3])
		}
		found[m[1]+" "+m[2]] = m[3]
	}
	return found
}

// shell runs an example as its reader would, and returns what it prints.
func shell(t *testing.T, script, spool string, env ...string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(append(os.Environ(), "SPOOL="+spool), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	if errs.Len() > 0 {
		t.Errorf("it complains: %s", errs.String())
	}
	return out.String()
}

func openSpool(t *testing.T) (*spoolfmt.Spool, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := spoolfmt.OpenDrainer(dir, spoolfmt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, dir
}

// delivered is a message as an agent sees it.
func delivered(t *testing.T, c *spoolfmt.Claim) string {
	t.Helper()
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Content().Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(c.Content())
	if err != nil {
		t.Fatal(err)
	}
	text := "<" + c.Envelope().Sender().Address + ">"
	for _, r := range c.Envelope().Recipients() {
		text += " " + r.Address
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	return text + "\n" + string(content)
}

func TestDocumentExamples(t *testing.T) {
	runs := map[string]func(*testing.T, string){
		"oneline mail":      runOneLine,
		"drop mail":         runDrop,
		"feed feeder":       runFeed,
		"drain drainer":     runDrain,
		"lockdrain drainer": runDrain,
		"restore operator":  runRestore,
		"merge operator":    runMerge,
	}
	found := examples(t)
	for name := range runs {
		if found[name] == "" {
			t.Errorf("no example %q in the document", name)
		}
	}
	for name, script := range found {
		t.Run(name, func(t *testing.T) {
			run := runs[name]
			if run == nil {
				t.Fatalf("nothing here runs the example %q", name)
			}
			run(t, script)
		})
	}
}

// oneDrop takes the only drop that is in new.
func oneDrop(t *testing.T, s *spoolfmt.Spool) string {
	t.Helper()
	var got []string
	err := s.Scan(spoolfmt.New, func(e spoolfmt.Entry) error {
		c, err := s.ClaimDrop(e.Name)
		if err != nil {
			return err
		}
		got = append(got, delivered(t, c))
		return nil
	})
	if err != nil || len(got) != 1 {
		t.Fatalf("%d drops: %v", len(got), err)
	}
	return got[0]
}

func runOneLine(t *testing.T, script string) {
	s, dir := openSpool(t)
	shell(t, script, dir)
	want := regexp.MustCompile("^<ann@example.com> bob@example.org\nFrom: ann@example.com\nTo: bob@example.org\nSubject: hello\n" +
		`Date: \w+, \d+ \w+ \d+ [0-9:]+ \+0000\nMessage-ID: <[^>]+@[^>]+>\n\nIt works\.\n$`)
	if got := oneDrop(t, s); !want.MatchString(got) {
		t.Errorf("got %q, want %s", got, want)
	}
	empty(t, s)
}

func runDrop(t *testing.T, script string) {
	s, dir := openSpool(t)
	shell(t, script, dir)
	want := "<ann@example.com> bob@example.org carol@example.net\n" +
		"From: Ann <ann@example.com>\nTo: Bob <bob@example.org>\nSubject: a drop\n" +
		"Date: Mon, 23 Nov 2026 20:04:13 +0000\nMessage-ID: <a.drop@example.com>\n\n" +
		"Carol gets this, and Bob does not see it.\n"
	if got := oneDrop(t, s); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	empty(t, s)
}

func runFeed(t *testing.T, script string) {
	s, dir := openSpool(t)
	id := strings.TrimSpace(shell(t, script, dir))
	c, err := s.Claim(id)
	if err != nil {
		t.Fatal(err)
	}
	want := "<ann@example.com> bob@example.org carol@example.net\nSubject: from a shell\n\nHello.\n"
	if got := delivered(t, c); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	empty(t, s)
}

func empty(t *testing.T, s *spoolfmt.Spool) {
	t.Helper()
	if err := errors.Join(s.Flush(), s.Flush()); err != nil {
		t.Fatal(err)
	}
	for b := spoolfmt.Tmp; b <= spoolfmt.Bad; b++ {
		err := s.Scan(b, func(e spoolfmt.Entry) error {
			t.Errorf("left: %s/%s", b, e.Name)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// runDrain lets a drainer take messages, with an agent that fails for one of
// them the first time.
func runDrain(t *testing.T, script string) {
	s, dir := openSpool(t)
	var want []string
	for i := range 5 {
		d, err := s.NewDraft()
		if err != nil {
			t.Fatal(err)
		}
		e, err := envelope.New(envelope.Path{Address: "ann@example.com"},
			[]envelope.Path{{Address: fmt.Sprintf("u%d@example.org", i)}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(d, "message %d\n", i); err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(e); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("ann@example.com u%d@example.org message %d\n", i, i))
	}
	mine, out := filepath.Join(dir, "mine"), t.TempDir()
	if err := os.Mkdir(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	agent := filepath.Join(out, "agent")
	text := "#!/bin/sh\n" +
		"if [ \"$RECIPIENTS\" = u3@example.org ] && mkdir '" + out + "/failed' 2>/dev/null; then exit 75; fi\n" +
		"{ printf '%s %s ' \"$SENDER\" \"$RECIPIENTS\"; cat; } >>'" + out + "/mail'\n"
	if err := os.WriteFile(agent, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		shell(t, script, dir, "MINE="+mine, "AGENT="+agent)
	}
	mail, err := os.ReadFile(filepath.Join(out, "mail"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.SplitAfter(string(mail), "\n")
	got = got[:len(got)-1]
	sort.Strings(got)
	if strings.Join(got, "") != strings.Join(want, "") {
		t.Errorf("the agent got %q, want %q", got, want)
	}
	empty(t, s)
}

// tree makes the files of a spool whose messages all have one text.
func tree(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, box := range []string{"tmp", "new", "cur", "bad"} {
		if err := os.MkdirAll(filepath.Join(dir, box), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		text := "a mail\n"
		if !strings.HasSuffix(name, ".eml") {
			text = "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <" + strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)) +
				"@example.org>\nSize: 7\n\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// has compares the names in the boxes of a spool.
func has(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	for _, box := range []string{"tmp", "new", "cur", "bad"} {
		entries, err := os.ReadDir(filepath.Join(dir, box))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			got = append(got, box+"/"+e.Name())
		}
	}
	sort.Strings(got)
	sort.Strings(want)
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s has %q, want %q", dir, got, want)
	}
}

// runRestore: what the backup holds comes back once, but for what the spool
// knows and for what was done.
func runRestore(t *testing.T, script string) {
	dir, backup := t.TempDir(), t.TempDir()
	tree(t, dir, "new/known.eml", "new/known.envelope", "cur/ended.done")
	tree(t, backup, "new/n.eml", "new/n.envelope", "cur/c.eml", "cur/c.envelope", "bad/b.eml", "bad/b.envelope",
		"new/known.eml", "new/known.envelope", "cur/ended.eml", "cur/ended.envelope", "cur/done.eml", "cur/done.done",
		"new/split.eml", "cur/split.envelope", "new/twice.eml", "new/twice.envelope", "cur/twice.eml", "cur/twice.envelope")
	shell(t, script, dir, "BACKUP="+backup)
	has(t, dir, "new/known.eml", "new/known.envelope", "cur/ended.done", "bad/b.eml", "bad/b.envelope", "cur/n.eml", "cur/n.envelope",
		"cur/c.eml", "cur/c.envelope", "cur/split.eml", "cur/split.envelope", "cur/twice.eml", "cur/twice.envelope")
}

// runMerge: every message of the other spool comes, and only halves stay.
func runMerge(t *testing.T, script string) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	tree(t, dir, "new/mine.eml", "new/mine.envelope")
	tree(t, other, "new/n.eml", "new/n.envelope", "cur/c.eml", "cur/c.envelope", "bad/b.eml", "bad/b.envelope",
		"new/d.mail", "cur/half.eml")
	shell(t, script, dir, "OTHER="+other)
	has(t, dir, "new/mine.eml", "new/mine.envelope", "new/n.eml", "new/n.envelope", "new/c.eml", "new/c.envelope",
		"bad/b.eml", "bad/b.envelope", "new/d.mail")
	has(t, other, "cur/half.eml")
}

// TestExamplesRefuse: what the drainers of the document do not understand, or
// must not follow, they hand to nobody.
func TestExamplesRefuse(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	put := func(t *testing.T, name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	put(t, secret, "secret\n")
	const head, tail = "Spool-Format: 1\nSender: <a@example.com>\n", "Size: 7\n\n"
	later := time.Now().Add(time.Hour)
	for name, script := range examples(t) {
		if !strings.HasSuffix(name, " drainer") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			_, dir := openSpool(t)
			file := func(name string) string { return filepath.Join(dir, name) }
			for id, rcpt := range map[string]string{
				"any-case": "rECIPIENT: <any-case@example.org> ORCPT=rfc822;a>b\n",
				"quoted":   "Recipient: <\"a>b\"@example.org>\n",
				"literal":  "Recipient: <a@[x>y]>\n",
				"outcome":  "Recipient: <b@example.org>\nDelivered: <b@example.org> 2026-11-23T20:04:14Z\n",
			} {
				put(t, file("new/"+id+".eml"), "a mail\n")
				put(t, file("new/"+id+".envelope"), head+rcpt+tail)
			}
			put(t, file("new/link.envelope"), head+"Recipient: <link@example.org>\n"+tail)
			put(t, file("cur/later.envelope"), head+"Recipient: <later@example.org>\n"+tail)
			put(t, file("cur/later.eml"), "a mail\n")
			if err := errors.Join(os.Symlink(secret, file("new/link.eml")), os.Chtimes(file("cur/later.envelope"), later, later)); err != nil {
				t.Fatal(err)
			}
			if os.Geteuid() == 0 {
				put(t, file("new/stranger.envelope"), head+"Recipient: <stranger@example.org>\n"+tail)
				put(t, file("new/stranger.eml"), "a mail\n")
				if err := os.Chown(file("new/stranger.envelope"), 12345, -1); err != nil {
					t.Fatal(err)
				}
			}
			mine, got := file("mine"), file("got")
			put(t, file("agent"), "#!/bin/sh\n{ printf '%s ' \"$RECIPIENTS\"; cat; } >>'"+got+"'\n")
			if err := errors.Join(os.Chmod(file("agent"), 0o700), os.Mkdir(mine, 0o700)); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", script)
			cmd.Env = append(os.Environ(), "SPOOL="+dir, "MINE="+mine, "AGENT="+file("agent"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			mail, err := os.ReadFile(got)
			if want := "any-case@example.org a mail\n"; err != nil || string(mail) != want {
				t.Errorf("the agent got %q (%v), want %q", mail, err, want)
			}
		})
	}
}
