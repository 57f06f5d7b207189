//go:build system

package faults

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// A tool is a call of smapq in a spool that the test fills, and what is there when it has done its work.
type tool struct {
	name  string
	args  string
	input bool     // a message, number 0, on standard input
	has   []string // of the spool before: "BOX NUMBER [FIELD]"
	want  []string // of it afterwards: "BOX NUMBER", with "later" where it is not due; the box got is the agent's
	ok    []int    // exit codes of success, 0 always
	says  string   // what standard error or output says then, where the exit code leaves a doubt
	again string   // what a person does after a failure, before they repeat it
	smtp  bool     // standard input speaks SMTP, and only the replies count
	reads bool     // its output must be that of a run without a fault
}

const (
	failedField = "Failed: <x@system.test> 2026-01-01T00:00:00Z no"
	asideField  = "Set-Aside: 2026-01-01T00:00:00Z no"
)

var tools = []tool{
	{name: "submit", args: "submit --as-is -f a@client.test x@system.test", input: true, want: []string{"new 0"}},
	{name: "submit header", args: "submit -t", input: true, want: []string{"new 0"}},
	{name: "sendmail", args: "sendmail -t -oi", input: true, want: []string{"new 0"}},
	{name: "sendmail SMTP", args: "sendmail -bs", input: true, want: []string{"new 0"}, smtp: true, says: "Mail accepted"},
	{name: "requeue", args: "requeue m1", has: []string{"bad 1 " + failedField, "bad 2 " + asideField}, want: []string{"new 1", "bad 2"}},
	{name: "requeue all", args: "requeue --all", has: []string{"bad 1 " + asideField, "bad 2 " + failedField, "new 3"},
		want: []string{"new 1", "new 2", "new 3"}},
	{name: "requeue drop", args: "requeue m1", has: []string{"bad 1 drop"}, want: []string{"new 1 drop"}},
	{name: "retry", args: "retry m1", has: []string{"cur 1 Attempts: 1", "cur 2 Attempts: 1"}, want: []string{"cur 1", "cur 2 later"}},
	{name: "delete", args: "delete -y m1 m2 m3", has: []string{"new 1", "cur 2 Attempts: 1", "bad 3 " + asideField, "new 4", "bad 5 " + asideField},
		want: []string{"new 4", "bad 5"}},
	{name: "delete drop", args: "delete -y m1 m2", has: []string{"new 1 drop", "bad 2 drop", "new 3"}, want: []string{"new 3"}},
	{name: "take", args: "take -q AGENT x", has: []string{"new 1", "new 2", "cur 3 Attempts: 1", "bad 4 " + asideField},
		want: []string{"got 1", "got 2", "cur 3 later", "bad 4"}, again: "retry m1 m2"},
	{name: "take later", args: "take -q AGENT later", has: []string{"new 1"}, want: []string{"cur 1 later"}, ok: []int{75}, says: "is to be tried again", again: "retry m1"},
	{name: "take never", args: "take -q AGENT never", has: []string{"new 1"}, want: []string{"bad 1"}, ok: []int{65}, says: "was refused for good", again: "retry m1"},
	{name: "check repair", args: "check --repair", has: []string{"cur 1 content", "bad 2 " + asideField, "cur 2 content", "new 3 content", "cur 3 envelope", "new 4"},
		want: []string{"bad 2", "cur 3", "new 4"}, ok: []int{1}},
	{name: "init", args: "init", has: []string{"new 1"}, want: []string{"new 1"}},
	{name: "check", args: "check", has: []string{"new 1", "bad 2 " + asideField}, want: []string{"new 1", "bad 2"}, reads: true},
	{name: "list", args: "list --ids", has: []string{"new 1", "cur 2", "bad 3", "new 4 drop"}, want: []string{"new 1", "cur 2", "bad 3", "new 4 drop"}, reads: true},
	{name: "show", args: "show --raw m1", has: []string{"new 1"}, want: []string{"new 1"}, reads: true},
}

// put makes a file of message i in a box, with what is left of its envelope, or its drop.
func (x *traced) put(box string, i int, what string) {
	x.t.Helper()
	content := x.text(i, x.to[i])
	envelope := fmt.Sprintf("Spool-Format: 1\nSender: <a@client.test>\nRecipient: <x@system.test>\nSize: %d\n", len(content))
	if strings.Contains(what, ": ") {
		envelope += what + "\n"
	}
	files := map[string]string{"eml": content, "envelope": envelope + "\n"}
	switch what {
	case "content":
		delete(files, "envelope")
	case "envelope":
		delete(files, "eml")
	case "drop":
		files = map[string]string{"mail": "From: a@client.test\nTo: x@system.test\n" + content}
	}
	for suffix, text := range files {
		name := filepath.Join(x.spool, box, fmt.Sprintf("m%d.%s", i, suffix))
		if err := errors.Join(os.WriteFile(name, []byte(text), 0o640), os.Chown(name, x.uid, x.gid)); err != nil {
			x.t.Fatal(err)
		}
		if suffix == "envelope" && strings.HasPrefix(what, "Attempts") { // deferred
			later := time.Now().Add(time.Hour)
			if err := os.Chtimes(name, later, later); err != nil {
				x.t.Fatal(err)
			}
		}
	}
}

// there is what the spool holds, and what the agent got, as tool.want has it.
func (x *traced) there() map[string]int {
	x.t.Helper()
	all := map[string]int{}
	note := func(box string, messages map[int]int) {
		for i, n := range messages {
			if n > 0 {
				all[fmt.Sprintf("%s %d", box, i)] = n
			}
		}
	}
	for _, box := range []string{"new", "cur", "bad"} {
		note(box, x.pairs(box))
		drops, err := filepath.Glob(filepath.Join(x.spool, box, "*.mail"))
		if err != nil {
			x.t.Fatal(err)
		}
		for _, d := range drops {
			for i, to := range x.to {
				if strings.HasSuffix(kit.ReadFile(x.t, d), x.text(i, to)) {
					all[fmt.Sprintf("%s %d drop", box, i)]++
				}
			}
		}
	}
	for i := range x.to {
		key := fmt.Sprintf("cur %d", i)
		if st, err := os.Stat(filepath.Join(x.spool, "cur", fmt.Sprintf("m%d.envelope", i))); err == nil && st.ModTime().After(time.Now()) {
			all[key+" later"] = all[key]
			delete(all, key)
		}
	}
	note("got", x.delivered())
	return all
}

// newToolbox is a spool with the files that a tool finds.
func newToolbox(t *testing.T, dir string, c tool) *traced {
	t.Helper()
	x := newTraced(t, dir)
	x.to = []string{"x", "x", "x", "x", "x", "x"}
	for _, box := range []string{"", "tmp", "new", "cur", "bad"} {
		d := filepath.Join(x.spool, box)
		if err := errors.Join(os.MkdirAll(d, 0o700), os.Chmod(d, 0o700), os.Chown(d, x.uid, x.gid)); err != nil {
			t.Fatal(err)
		}
	}
	for _, has := range c.has {
		var box, what string
		var i int
		box, has, _ = strings.Cut(has, " ")
		has, what, _ = strings.Cut(has, " ")
		if _, err := fmt.Sscan(has, &i); err != nil {
			t.Fatal(err)
		}
		x.put(box, i, what)
	}
	return x
}

// call runs smapq, or smapq as sendmail, and returns its exit code and its standard output.
func (x *traced) call(c tool, args string) (code int, out string) {
	x.t.Helper()
	open := func(name string, text string) *os.File {
		path := filepath.Join(x.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			x.t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			x.t.Fatal(err)
		}
		return f
	}
	var text string
	if c.input {
		text = "From: a@client.test\nTo: x@system.test\nDate: Thu, 1 Jan 2026 00:00:00 +0000\nMessage-ID: <x@client.test>\n" + x.text(0, "x")
	}
	if c.smtp {
		text = "EHLO client.test\nMAIL FROM:<a@client.test>\nRCPT TO:<x@system.test>\nDATA\n" + text + ".\nQUIT\n"
	}
	stdin, stdout := open("in", text), open("out", "")
	defer stdin.Close()
	defer stdout.Close()
	words := strings.Fields(strings.ReplaceAll(args, "AGENT", filepath.Join(x.dir, "agent")))
	name := kit.Program(x.t, "smapq")
	if words[0] == "sendmail" {
		link := filepath.Join(x.dir, "sendmail")
		if err := os.Symlink(name, link); err != nil && !os.IsExist(err) {
			x.t.Fatal(err)
		}
		name, words = link, words[1:]
	}
	x.env = []string{"SMAP_SPOOL=" + x.spool, "PATH=/usr/bin:/bin", "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	err := x.run(stdin, stdout, name, words...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		x.t.Fatal(err)
	}
	return code, kit.ReadFile(x.t, filepath.Join(x.dir, "out"))
}

// judge says what is wrong with one run: what it claimed, what it said, and what is there. call is the one that failed: a
// write may have been that of the words. plain is the output without a fault.
func (x *traced) judge(c tool, call string, code int, out, plain string) (done bool, wrong []string) {
	x.t.Helper()
	done = (c.smtp || code == 0 || slices.Contains(c.ok, code)) && strings.Contains(x.output+out, c.says)
	runtime := strings.Contains(x.output, "fatal error: ") // the fault was in a call of Go's own
	switch {
	case x.timedOut:
		wrong = append(wrong, "it hangs")
	case done && c.reads && out != plain:
		wrong = append(wrong, fmt.Sprintf("exit %d, and the output is %q, not %q", code, out, plain))
	case !done && !c.smtp && !runtime && !slices.Contains([]int{65, 66, 69, 71, 74, 75}, code):
		wrong = append(wrong, fmt.Sprintf("exit %d", code))
	case !done && !c.smtp && call != "write" && x.output+out == "":
		wrong = append(wrong, fmt.Sprintf("exit %d without a word", code))
	}
	if done {
		wrong = append(wrong, x.differs(c, 1)...)
	}
	return done, wrong
}

// differs compares what is there with what a tool should leave. A message that was fed or delivered may be there as often
// as most says.
func (x *traced) differs(c tool, most int) (wrong []string) {
	x.t.Helper()
	there := x.there()
	if c.input { // a failed sync leaves a message that can only be set aside
		maps.DeleteFunc(there, func(w string, _ int) bool { return strings.HasPrefix(w, "bad ") })
	}
	for _, w := range c.want {
		n := there[w]
		delete(there, w)
		if n < 1 || n > 1 && !(n <= most && (strings.HasPrefix(w, "got ") || c.input)) {
			wrong = append(wrong, fmt.Sprintf("%s is there %d times", w, n))
		}
	}
	for _, w := range slices.Sorted(maps.Keys(there)) {
		wrong = append(wrong, w+" should not be there")
	}
	return wrong
}

// mend does what a person does after a failure, and wants all to be well then.
func (x *traced) mend(c tool) (wrong []string) {
	x.t.Helper()
	x.plainly()
	if c.again != "" {
		x.call(c, c.again)
	}
	code, out := x.call(c, c.args)
	if code != 0 && code != 66 && !slices.Contains(c.ok, code) || c.smtp && !strings.Contains(out, c.says) {
		wrong = append(wrong, fmt.Sprintf("the second time: exit %d: %s%s", code, out, x.output))
	}
	return append(wrong, x.differs(c, 2)...)
}

// try runs a tool, under what strace or a limit does to it, and returns what it said and what is wrong, then and after it
// was repeated. call and plain are judge's.
func (x *traced) try(c tool, call, plain string) (said string, wrong []string) {
	x.t.Helper()
	code, out := x.call(c, c.args)
	said = x.output
	done, wrong := x.judge(c, call, code, out, plain)
	x.limit = 0
	if !done {
		wrong = append(wrong, x.mend(c)...)
	}
	x.plainly()
	if code, out := x.call(c, "check --repair"); code > 1 {
		wrong = append(wrong, fmt.Sprintf("check --repair: exit %d: %s", code, out))
	}
	return said, append(wrong, x.differs(c, 2)...)
}

// TestFaultsSmapq fails system calls of each of smapq's commands, one in each run. What it says is true: after success the
// spool is as the command promises; after a failure, which has a word and an exit code, nothing is lost, and the command
// can be repeated. In the end the spool has no damage that check --repair does not mend.
func TestFaultsSmapq(t *testing.T) {
	t.Parallel()
	eachTool(t, func(t *testing.T, c tool, next func() *traced) {
		x := next()
		x.count()
		code, plain := x.call(c, c.args)
		if done, wrong := x.judge(c, "", code, plain, plain); !done || len(wrong) > 0 {
			t.Fatalf("without a fault: exit %d, %v: %s%s", code, wrong, plain, x.output)
		}
		tryFaults(t, x.counted(), 6, func(f fault) bool {
			x := next()
			x.inject(f)
			said, wrong := x.try(c, f.call, plain)
			for _, w := range wrong {
				t.Errorf("%s: %s\n%s", f, w, said)
			}
			return x.met()
		})
	})
}

// TestFaultsSmapqNoticed plants commands that skip a step: strace makes no call, and says that all went well. What delete
// and take skip does no harm: their .done files say what is left to do.
func TestFaultsSmapqNoticed(t *testing.T) {
	t.Parallel()
	skipped := map[string]string{
		"submit": "write:retval=1", "sendmail": "renameat2:retval=0", "requeue": "renameat2:retval=0", "requeue drop": "renameat2:retval=0",
		"retry": "renameat:retval=0", "delete drop": "unlinkat:retval=0", "list": "getdents64:retval=0",
	}
	var noticed atomic.Int64
	t.Cleanup(func() {
		if n := noticed.Load(); n != int64(len(skipped)) {
			t.Errorf("%d of %d were noticed", n, len(skipped))
		}
	})
	eachTool(t, func(t *testing.T, c tool, next func() *traced) {
		call := skipped[c.name]
		if call == "" {
			return
		}
		x := next()
		_, plain := x.call(c, c.args)
		for n := 1; n <= 20; n++ { // which thread makes which call is chance
			x := next()
			name, _, _ := strings.Cut(call, ":")
			x.options = []string{"-b", "execve", "-o", "/dev/null", "-e", "trace=" + name, "-e", fmt.Sprintf("inject=%s:when=%d", call, n)}
			if _, wrong := x.try(c, name, plain); len(wrong) > 0 {
				t.Logf("%s %d: %s", call, n, wrong[0])
				noticed.Add(1)
				return
			}
		}
		t.Errorf("%s: nothing was found wrong", call)
	})
}

// eachTool has a subtest for each tool, which gets as many of its spools as it wants.
func eachTool(t *testing.T, test func(t *testing.T, c tool, next func() *traced)) {
	t.Helper()
	base := kit.NewSite(t).Dir
	for n, c := range tools {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			spools := 0
			test(t, c, func() *traced {
				spools++
				return newToolbox(t, filepath.Join(base, fmt.Sprintf("tool%d.%d", n, spools)), c)
			})
		})
	}
}
