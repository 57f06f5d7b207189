//go:build system

package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// faults are the errors that each system call is made to return, in turn. Short writes are in shortwrite_test.go.
var faults = []struct {
	call   string
	errors []string
}{
	{"openat", []string{"ENOSPC", "EDQUOT", "EIO", "EMFILE", "ENFILE", "EINTR"}},
	{"write", []string{"ENOSPC", "EDQUOT", "EIO", "EINTR"}},
	{"fsync", []string{"ENOSPC", "EDQUOT", "EIO", "EINTR"}},
	{"renameat2", []string{"ENOSPC", "EDQUOT", "EIO", "EINTR"}},
	{"renameat", []string{"ENOSPC", "EIO"}},
	{"linkat", []string{"ENOSPC", "EIO"}},
	{"unlinkat", []string{"EIO", "EINTR"}},
	{"newfstatat", []string{"EIO"}},
	{"fchmod", []string{"EIO"}},
	{"flock", []string{"ENOLCK", "EINTR"}},
	{"fallocate", []string{"ENOSPC", "EDQUOT", "EINTR"}},
	{"ftruncate", []string{"EIO", "EINTR"}},
	{"utimensat", []string{"EIO"}},
	{"getdents64", []string{"EIO"}},
	{"read", []string{"EIO"}},
	{"pread64", []string{"EIO"}},
	{"fstat", []string{"EIO"}},
	{"mkdirat", []string{"ENOSPC", "EDQUOT", "EIO"}},
}

// A fault is one error at one call, counted in each thread.
type fault struct {
	call, err string
	when      int
}

func (f fault) String() string { return fmt.Sprintf("%s %s %d", f.call, f.err, f.when) }

// tryFaults tries a sample of the faults of a program that makes so many calls of each kind: PROOF_FAULTS is their number,
// PROOF_SEED another seed. Where PROOF_FAULTS is "all" it tries each error at each call. try tells whether the fault was
// met: which thread makes a call is chance.
func tryFaults(t *testing.T, calls map[string]int, sample int, try func(fault) (met bool)) {
	t.Helper()
	tried, met, of := 0, 0, 0
	one := func(f fault) bool {
		tried++
		if !try(f) {
			return false
		}
		met++
		return true
	}
	var some []fault
	for _, f := range faults {
		for _, e := range f.errors {
			for n := 1; n <= calls[f.call]; n++ {
				some = append(some, fault{f.call, e, n})
			}
			if os.Getenv("PROOF_FAULTS") != "all" {
				continue
			}
			for n, missed := 1, 0; n <= calls[f.call] && missed < 3; n++ {
				missed++
				if one(fault{f.call, e, n}) {
					missed = 0
				}
			}
		}
	}
	of = len(some)
	if tried == 0 {
		seed := 1
		for name, n := range map[string]*int{"PROOF_FAULTS": &sample, "PROOF_SEED": &seed} {
			if value, err := strconv.Atoi(os.Getenv(name)); err == nil {
				*n = value
			}
		}
		r := rand.New(rand.NewPCG(uint64(seed), 0))
		r.Shuffle(of, func(i, j int) { some[i], some[j] = some[j], some[i] })
		for _, f := range some {
			if tried >= sample && met > 0 {
				break // which thread makes a call is chance: a few may meet none
			}
			one(f)
		}
	}
	t.Logf("%d of %d faults tried, %d met", tried, of, met)
	if met == 0 {
		t.Error("no fault was met")
	}
}

// count has strace write down what calls the next program makes.
func (x *traced) count() {
	var names []string
	for _, f := range faults {
		names = append(names, f.call)
	}
	x.options = []string{"-b", "execve", "-o", filepath.Join(x.dir, "strace"), "-e", "trace=" + strings.Join(names, ",")}
}

// counted are the calls that the last program made.
func (x *traced) counted() map[string]int {
	x.t.Helper()
	calls := map[string]int{}
	for line := range strings.Lines(kit.ReadFile(x.t, filepath.Join(x.dir, "strace"))) {
		for _, f := range faults {
			if strings.Contains(line, " "+f.call+"(") {
				calls[f.call]++
			}
		}
	}
	return calls
}

// inject has strace make a fault in the next program, not in its agents, and write down that it did.
func (x *traced) inject(f fault) {
	x.options = []string{"-b", "execve", "-o", filepath.Join(x.dir, "strace"), "-e", "trace=" + f.call,
		"-e", fmt.Sprintf("inject=%s:error=%s:when=%d", f.call, f.err, f.when)}
}

// plainly lets the next programs run by themselves.
func (x *traced) plainly() { x.options = nil }

func (x *traced) met() bool {
	return strings.Contains(kit.ReadFile(x.t, filepath.Join(x.dir, "strace")), "(INJECTED)")
}

// text is the end of the content of message i: what its client sends.
func (x *traced) text(i int, to string) string {
	return fmt.Sprintf("Subject: %d\n\n%s", i, strings.Repeat("message "+to+"\n", x.lines+i))
}

// pairs are the messages in a box by their number: a content that is not whole, or without its envelope, is none.
func (x *traced) pairs(box string) map[int]int {
	x.t.Helper()
	found := map[int]int{}
	envelopes, err := filepath.Glob(filepath.Join(x.spool, box, "*.envelope"))
	if err != nil {
		x.t.Fatal(err)
	}
	for _, e := range envelopes {
		content, err := os.ReadFile(strings.TrimSuffix(e, ".envelope") + ".eml")
		if err != nil {
			continue
		}
		for i, to := range x.to {
			if strings.HasSuffix(string(content), x.text(i, to)) {
				found[i]++
			}
		}
	}
	return found
}

func (x *traced) delivered() map[int]int {
	x.t.Helper()
	got, err := os.ReadFile(filepath.Join(x.dir, "got"))
	if err != nil && !os.IsNotExist(err) {
		x.t.Fatal(err)
	}
	found := map[int]int{}
	for i, to := range x.to {
		found[i] = strings.Count(string(got), x.text(i, to))
	}
	return found
}

// once runs smapd without strace until nothing is left that is due.
func (x *traced) once() {
	x.t.Helper()
	out, err := kit.As(x.t, x.uid, x.gid, kit.Program(x.t, "smapd"), "-c", x.table, "-once")
	if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 75) {
		x.t.Errorf("smapd -once: %v\n%s", err, out)
	}
}

// TestFaults fails system calls of smap and smapd, one in each run. What smap accepted is there and whole, or was
// delivered once; what it refused is not delivered; nobody hangs.
func TestFaults(t *testing.T) {
	t.Parallel()
	base := kit.NewSite(t).Dir
	for _, target := range []string{"smap", "smapd"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			runs := 0
			run := func(f fault) (x *traced) {
				runs++
				x = newTraced(t, filepath.Join(base, fmt.Sprintf("%s%d", target, runs)))
				change := func() {
					if f.call == "" {
						x.count()
					} else {
						x.inject(f)
					}
				}
				x.plainly()
				if target == "smap" {
					change()
				}
				replies := x.session("ann", "bob")
				if x.timedOut {
					t.Errorf("%s: smap hangs: %s", f, x.output)
				}
				if target == "smapd" {
					change()
					x.run(nil, nil, "smapd", "-c", x.table, "-once") //nolint:errcheck // what counts is what it leaves
					if x.timedOut {
						t.Errorf("%s: smapd hangs: %s", f, x.output)
					}
				}
				x.once()
				for _, wrong := range x.account(replies, target == "smapd") {
					t.Errorf("%s: %s\n%s", f, wrong, x.output)
				}
				return x
			}
			tryFaults(t, run(fault{}).counted(), 24, func(f fault) bool { return run(f).met() })
		})
	}
}

// account compares the answers with what is there and what was delivered, and returns what is wrong.
func (x *traced) account(replies []string, twice bool) []string {
	x.t.Helper()
	got, waiting, aside := x.delivered(), x.pairs("cur"), x.pairs("bad")
	for i, n := range x.pairs("new") {
		waiting[i] += n
	}
	var wrong []string
	for i, reply := range replies {
		accepted := strings.HasPrefix(reply, "250")
		switch {
		case accepted && got[i]+waiting[i]+aside[i] == 0:
			wrong = append(wrong, fmt.Sprintf("message %d was accepted (%q) and is lost", i, reply))
		case got[i] > 1 && !twice || got[i] > 2:
			wrong = append(wrong, fmt.Sprintf("message %d was delivered %d times", i, got[i]))
		case accepted && aside[i] > 0:
			wrong = append(wrong, fmt.Sprintf("message %d was set aside", i))
		case !accepted && reply != "" && got[i] > 0:
			wrong = append(wrong, fmt.Sprintf("message %d was refused (%q) and delivered: its client sends it again", i, reply))
		case !accepted && reply != "" && reply[0] != '4' && reply[0] != '5':
			wrong = append(wrong, fmt.Sprintf("the answer to message %d is %q", i, reply))
		case !accepted && x.output == "":
			wrong = append(wrong, fmt.Sprintf("message %d was refused without a word in the log", i))
		}
	}
	return wrong
}

// TestFaultsNoticed takes an accepted message away, delivers one again, and has a failed sync leave the envelope whole.
func TestFaultsNoticed(t *testing.T) {
	t.Parallel()
	x := newTraced(t, filepath.Join(kit.NewSite(t).Dir, "noticed"))
	x.plainly()
	replies := x.session("ann", "bob")
	if wrong := x.account(replies, false); len(wrong) > 0 {
		t.Fatalf("without a fault: %v", wrong)
	}
	envelopes, err := filepath.Glob(filepath.Join(x.spool, "new", "*.envelope"))
	if err != nil || len(envelopes) != 2 {
		t.Fatalf("%v, %v", envelopes, err)
	}
	if err := os.Remove(envelopes[0]); err != nil {
		t.Fatal(err)
	}
	if wrong := x.account(replies, false); len(wrong) != 1 || !strings.Contains(wrong[0], "is lost") {
		t.Errorf("a lost message: %v", wrong)
	}
	if err := os.WriteFile(filepath.Join(x.dir, "got"), []byte(x.text(0, "ann")+x.text(0, "ann")+x.text(1, "bob")), 0o644); err != nil {
		t.Fatal(err)
	}
	if wrong := x.account(replies, false); len(wrong) != 1 || !strings.Contains(wrong[0], "2 times") {
		t.Errorf("a message delivered twice: %v", wrong)
	}
	y := newTraced(t, filepath.Join(kit.NewSite(t).Dir, "whole"))
	y.options = []string{"-b", "execve", "-o", filepath.Join(y.dir, "strace"), "-e", "trace=fsync,ftruncate",
		"-e", "inject=fsync:error=EIO", "-e", "inject=ftruncate:error=EIO"}
	replies = y.session("ann")
	y.plainly()
	y.once()
	if wrong := y.account(replies, false); len(wrong) != 1 || !strings.Contains(wrong[0], "was refused") {
		t.Errorf("an envelope that a failed sync left whole: %v", wrong)
	}
}
