package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"smap/spoolfmt/envelope"
)

// job makes a job with that content.
func job(t *testing.T, content string, rcpts ...string) *Job {
	t.Helper()
	f := contentFile(t, content)
	var to []envelope.Path
	for _, r := range rcpts {
		to = append(to, envelope.Path{Address: r})
	}
	env, err := envelope.New(envelope.Path{Address: "a@example.com"}, to)
	if err != nil {
		t.Fatal(err)
	}
	return &Job{ID: "x1", Sender: envelope.Path{Address: "a@example.com"}, Recipients: to, Content: f,
		Open: func() (*os.File, error) { return os.Open(f.Name()) }, Size: int64(len(content)), Envelope: env, EnvelopePath: "/spool/cur/x1.envelope"}
}

// TestExitCodes compares what each exit code does with the documented table.
func TestExitCodes(t *testing.T) {
	want := map[int]Outcome{0: Delivered, 65: Failed, 67: Failed, 68: Failed, 100: Failed}
	j := job(t, "x\n", "b@example.org")
	for code := range 256 {
		a := &Exec{Argv: []string{"/bin/sh", "-c", "exit " + strconv.Itoa(code)}}
		got, err := a.Deliver(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		if got[0].Outcome != want[code] {
			t.Errorf("exit %d: %v, want %v", code, got[0].Outcome, want[code])
		}
		if got[0].Status == "" || (got[0].Status[0] == '5') != (want[code] == Failed) {
			t.Errorf("exit %d: status %q", code, got[0].Status)
		}
	}
	for _, code := range []int{-1, 256, 1 << 20} {
		if ExitOutcome(code) != Retry {
			t.Errorf("exit %d is not Retry", code)
		}
	}
}

func TestSendmailArguments(t *testing.T) {
	j := job(t, "x\n", "b@example.org", `"c d"@example.org`)
	a := &Sendmail{Argv: []string{"/usr/lib/sendmail", "-Oq"}}
	want := []string{"/usr/lib/sendmail", "-Oq", "-i", "-f", "a@example.com", "--", "b@example.org", `"c d"@example.org`}
	if d := cmp.Diff(want, a.argv(j)); d != "" {
		t.Error(d)
	}
	j.Sender.Address = ""
	if got := a.argv(j)[4]; got != "<>" {
		t.Errorf("null sender is %q", got)
	}
}

func TestExecTemplate(t *testing.T) {
	j := job(t, "x\n", "b@example.org", "{id}@example.org")
	a := &Exec{Argv: []string{"/x", "--from={sender}", "{recipients}", "{id}", "{envelope}"}}
	want := []string{"/x", "--from=a@example.com", "b@example.org", "{id}@example.org", "x1", "/spool/cur/x1.envelope"}
	if d := cmp.Diff(want, a.argv(j)); d != "" {
		t.Error(d)
	}
	if (&Exec{Argv: []string{"/x", "-r{recipient}"}}).MaxRecipients() != 1 || a.MaxRecipients() != 0 {
		t.Error("MaxRecipients")
	}
	for _, bad := range [][]string{nil, {"x"}, {"/x/{id}"}, {"/x", "{who}"}, {"/x", "-r{recipients}"}} {
		if CheckTemplate(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, good := range [][]string{{"/x"}, {"/x", "{", "{id", "}"}, a.Argv} {
		if err := CheckTemplate(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

// TestCleanEnvironment: nothing of ours is inherited but the content.
func TestCleanEnvironment(t *testing.T) {
	t.Setenv("SECRET", "x")
	dir := t.TempDir()
	a := &Exec{Argv: []string{self(t), "agent", "record", dir, "{recipient}"}}
	if r, err := a.Deliver(t.Context(), job(t, "content\n", "b@example.org")); err != nil || r[0].Outcome != Delivered {
		t.Fatal(r, err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.done"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, want := range []string{"b@example.org\n", "SMAP_RECIPIENT=b@example.org\n", "SMAP_SENDER=a@example.com\n", "PATH=/", "\n\ncontent\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	if strings.Contains(text, "SECRET") {
		t.Error("our environment was inherited")
	}
}

func TestAgentFloods(t *testing.T) {
	a := &Exec{Argv: []string{self(t), "agent", "flood"}}
	r, err := a.Deliver(t.Context(), job(t, "x\n", "b@example.org"))
	if err != nil || r[0].Outcome != Retry || !strings.HasSuffix(r[0].Text, "the end") {
		t.Errorf("%+v %v", r, err)
	} else if most := MaxText - len("5.0.0 "); len(r[0].Text) > most {
		t.Errorf("%d octets: an envelope keeps %d and would lose the end", len(r[0].Text), most)
	}
}

func TestAgentKilled(t *testing.T) {
	a := &Exec{Argv: []string{self(t), "agent", "kill"}}
	r, err := a.Deliver(t.Context(), job(t, "x\n", "b@example.org"))
	if err != nil || r[0].Outcome != Retry || !strings.Contains(r[0].Text, "signal 9") {
		t.Errorf("%+v %v", r, err)
	}
}

// TestAgentHangs: the whole process group is ended.
func TestAgentHangs(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "x")
	a := &Exec{Argv: []string{self(t), "agent", "hang", mark}}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { // a time that is too short for a slow machine would find no child
		for ctx.Err() == nil {
			if data, err := os.ReadFile(mark + ".child"); err == nil && len(data) > 0 {
				cancel(errTooLong)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	r, err := a.Deliver(ctx, job(t, "x\n", "b@example.org"))
	if err != nil || r[0].Outcome != Retry || !strings.Contains(r[0].Text, errTooLong.Error()) {
		t.Errorf("%+v %v", r, err)
	}
	data, err := os.ReadFile(mark + ".child")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(data))
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(15 * time.Second); !gone(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("child %d lives", pid)
		}
	}
}

// gone tells whether a process has ended, waited for or not.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(data), ") Z ")
}

// TestGrandchildKeepsOutput: who leaves a child with our pipe does not hold up
// the delivery.
func TestGrandchildKeepsOutput(t *testing.T) {
	a := &Exec{Argv: []string{"/bin/sh", "-c", "sleep 5 & echo started; exit 0"}}
	begin := time.Now()
	r, err := a.Deliver(t.Context(), job(t, "x\n", "b@example.org"))
	if err != nil || r[0].Outcome != Delivered || !strings.Contains(r[0].Text, "started") {
		t.Errorf("%+v %v", r, err)
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestMaildir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Maildir")
	a := NewMaildir(dir)
	content := "Subject: x\n\nbody\n.\n"
	r, err := a.Deliver(t.Context(), job(t, content, "b@example.org", "c@example.org"))
	if err != nil || len(r) != 2 || r[0].Outcome != Delivered || r[1].Outcome != Delivered {
		t.Fatal(r, err)
	}
	names, err := filepath.Glob(dir + "/new/*")
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	found := map[string]bool{}
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		found[string(data)] = true
	}
	for _, to := range []string{"b@example.org", "c@example.org"} {
		if !found["Return-Path: <a@example.com>\nDelivered-To: "+to+"\n"+content] {
			t.Errorf("nothing for %s in %v", to, found)
		}
	}
	if left, _ := filepath.Glob(dir + "/tmp/*"); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
	var start *StartError
	if _, err := NewMaildir("/nonexistent/a/b").Deliver(t.Context(), job(t, "x\n", "b@example.org")); !asStart(err, &start) {
		t.Errorf("no Maildir: %v", err)
	}
}

// TestMaildirSynced: who made the Maildir may have died before its names were
// durable, so the first delivery of each process makes them so.
func TestMaildirSynced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Maildir")
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	a := NewMaildir(dir)
	var synced []string
	fail := errors.New("injected")
	a.sync = func(path string) error {
		synced = append(synced, path)
		return fail
	}
	var start *StartError
	if _, err := a.Deliver(t.Context(), job(t, "x\n", "b@example.org")); !asStart(err, &start) {
		t.Errorf("not synced: %v", err)
	}
	fail, synced = nil, nil
	for range 2 {
		if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@example.org")); err != nil || r[0].Outcome != Delivered {
			t.Fatal(r, err)
		}
	}
	want := []string{filepath.Dir(dir), dir, filepath.Join(dir, "new"), filepath.Join(dir, "new")}
	if d := cmp.Diff(want, synced); d != "" {
		t.Error(d)
	}
}

// TestMaildirAgain: a delivery that was made and not recorded is not made twice;
// an id that comes again with another content is.
func TestMaildirAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Maildir")
	j := job(t, "x\n", "b@example.org", "c@example.org")
	files := func() int {
		names, err := filepath.Glob(dir + "/new/*")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	for range 2 { // as two processes would
		r, err := NewMaildir(dir).Deliver(t.Context(), j)
		if err != nil || r[0].Outcome != Delivered || r[1].Outcome != Delivered || files() != 2 {
			t.Fatalf("%v %v, %d files", r, err, files())
		}
	}
	again := job(t, "y\n", "b@example.org")
	if err := os.Chtimes(again.Content.Name(), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := NewMaildir(dir).Deliver(t.Context(), again); err != nil || files() != 3 {
		t.Errorf("%v, %d files", err, files())
	}
	// What is no file in new/ is not taken for a delivery.
	name, err := NewMaildir(dir).name(j, j.Recipients[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(dir+"/new/"+name), os.Symlink("/nowhere", dir+"/new/"+name)); err != nil {
		t.Fatal(err)
	}
	if r, err := NewMaildir(dir).Deliver(t.Context(), j); err != nil || r[0].Outcome == Delivered {
		t.Errorf("%v %v", r, err)
	}
}

func asStart(err error, to **StartError) bool {
	e, ok := err.(*StartError)
	*to = e
	return ok
}

func TestSendmailParameters(t *testing.T) {
	j := job(t, "x\n", "b@example.org")
	j.Sender.Params = []envelope.Param{{Keyword: "ret", Value: "HDRS", HasValue: true}, {Keyword: "ENVID", Value: "a+2B", HasValue: true}, {Keyword: "BODY", Value: "8BITMIME", HasValue: true}}
	j.Recipients[0].Params = []envelope.Param{{Keyword: "NOTIFY", Value: "SUCCESS,DELAY", HasValue: true}}
	a := &Sendmail{Argv: []string{"/s", "{dsn}", "-x", "{body}"}}
	want := []string{"/s", "-N", "success,delay", "-R", "hdrs", "-V", "a+2B", "-x", "-B8BITMIME", "-i", "-f", "a@example.com", "--", "b@example.org"}
	if d := cmp.Diff(want, a.argv(j)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"/s", "-i", "-f", "a@example.com", "--", "b@example.org"}, (&Sendmail{Argv: []string{"/s"}}).argv(j)); d != "" {
		t.Error(d)
	}
}

func TestFinal(t *testing.T) {
	if !Final(NewMaildir("/x")) || !Final(&Remote{LMTP: true}) || Final(&Remote{}) || Final(&Exec{}) {
		t.Error("only a Maildir and LMTP are the end of the way")
	}
}

// TestStays: a program that cannot be ended is not waited for.
func TestStays(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := wait(ctx, cmd, 10*time.Millisecond); !errors.Is(err, errStays) {
		t.Error(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
}

// TestLongOutput: of what a program says the end is quoted, from a whole word on.
func TestLongOutput(t *testing.T) {
	words := strings.Repeat("longword ", 40) + "no such user"
	got := exitText(67<<8, words)
	if !strings.HasPrefix(got, "exit 67 (EX_NOUSER): ... longword ") || !strings.HasSuffix(got, " no such user") || len(got) > maxQuote+30 {
		t.Errorf("%q", got)
	}
	if got := exitText(67<<8, strings.Repeat("x", 400)); got != "exit 67 (EX_NOUSER): ... "+strings.Repeat("x", maxQuote) {
		t.Errorf("%q", got)
	}
}
