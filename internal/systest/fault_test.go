//go:build system

package systest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// faults are the errors that each system call is made to return, in turn. Short writes are not among them: strace
// cannot make a true one. spoolfmt's tests do.
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
}

// A fault is one error at one call, counted in each thread.
type fault struct {
	call, err string
	when      int
}

// faultsToTry are all up to the tenth call, or a sample: PROOF_FAULTS is their number, PROOF_SEED another seed.
func faultsToTry(t *testing.T) []fault {
	var all []fault
	for _, f := range faults {
		for _, e := range f.errors {
			for n := 1; n <= 10; n++ {
				all = append(all, fault{f.call, e, n})
			}
		}
	}
	count, seed := 24, 1
	if n, err := strconv.Atoi(os.Getenv("PROOF_FAULTS")); err == nil {
		count = n
	}
	if n, err := strconv.Atoi(os.Getenv("PROOF_SEED")); err == nil {
		seed = n
	}
	if count >= len(all) {
		return all
	}
	r := rand.New(rand.NewPCG(uint64(seed), 0))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	t.Logf("%d of %d faults", count, len(all))
	return all[:count]
}

var mailSubject = regexp.MustCompile(`(?m)^Subject: (\d+)$`)

// pairs are the messages in a box by their subject: a content without its envelope is none.
func (x *traced) pairs(box string) map[string]int {
	x.t.Helper()
	found := map[string]int{}
	envelopes, err := filepath.Glob(filepath.Join(x.spool, box, "*.envelope"))
	if err != nil {
		x.t.Fatal(err)
	}
	for _, e := range envelopes {
		content, err := os.ReadFile(strings.TrimSuffix(e, ".envelope") + ".eml")
		if err != nil {
			continue
		}
		for _, m := range mailSubject.FindAllStringSubmatch(string(content), -1) {
			found[m[1]]++
		}
	}
	return found
}

func (x *traced) delivered() map[string]int {
	x.t.Helper()
	got, err := os.ReadFile(filepath.Join(x.dir, "got"))
	if err != nil && !os.IsNotExist(err) {
		x.t.Fatal(err)
	}
	found := map[string]int{}
	for _, m := range mailSubject.FindAllStringSubmatch(string(got), -1) {
		found[m[1]]++
	}
	return found
}

// once runs smapd without strace until nothing is left that is due.
func (x *traced) once() {
	x.t.Helper()
	out, err := as(x.t, x.uid, x.gid, program(x.t, "smapd"), "-c", x.table, "-once")
	if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 75) {
		x.t.Errorf("smapd -once: %v\n%s", err, out)
	}
}

// TestFaults fails system calls of smap and smapd, one in each run. What smap accepted is there and whole, or was
// delivered once; what it did not accept may be there, but only whole; nobody hangs.
func TestFaults(t *testing.T) {
	t.Parallel()
	base := newSite(t).dir
	for i, f := range faultsToTry(t) {
		for _, target := range []string{"smap", "smapd"} {
			name := fmt.Sprintf("%s %s %s %d", target, f.call, f.err, f.when)
			x := newTraced(t, filepath.Join(base, fmt.Sprintf("%s%d", target, i)))
			inject := []string{"-o", "/dev/null", "-e", "trace=" + f.call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", f.call, f.err, f.when)}
			plain := []string{"-o", "/dev/null", "-e", "trace=none"}
			x.options = plain
			if target == "smap" {
				x.options = inject
			}
			replies := x.session("ann", "bob")
			if x.timedOut {
				t.Errorf("%s: smap hangs: %s", name, x.output)
			}
			if target == "smapd" {
				x.options = inject
				x.run(nil, nil, "smapd", "-c", x.table, "-once") //nolint:errcheck // what counts is what it leaves
				if x.timedOut {
					t.Errorf("%s: smapd hangs: %s", name, x.output)
				}
			}
			x.once()
			for _, wrong := range x.account(replies, target == "smapd") {
				t.Errorf("%s: %s\n%s", name, wrong, x.output)
			}
		}
	}
}

// account compares the answers with what is there and what was delivered, and returns what is wrong.
func (x *traced) account(replies []string, twice bool) []string {
	x.t.Helper()
	got, waiting, aside := x.delivered(), x.pairs("cur"), x.pairs("bad")
	for subject, n := range x.pairs("new") {
		waiting[subject] += n
	}
	var wrong []string
	for i, reply := range replies {
		s := strconv.Itoa(i)
		accepted := strings.HasPrefix(reply, "250")
		switch {
		case accepted && got[s]+waiting[s]+aside[s] == 0:
			wrong = append(wrong, fmt.Sprintf("message %d was accepted (%q) and is lost", i, reply))
		case got[s] > 1 && !twice || got[s] > 2:
			wrong = append(wrong, fmt.Sprintf("message %d was delivered %d times", i, got[s]))
		case aside[s] > 0:
			wrong = append(wrong, fmt.Sprintf("message %d was set aside", i))
		case !accepted && reply != "" && reply[0] != '4' && reply[0] != '5':
			wrong = append(wrong, fmt.Sprintf("the answer to message %d is %q", i, reply))
		case !accepted && x.output == "":
			wrong = append(wrong, fmt.Sprintf("message %d was refused without a word in the log", i))
		}
	}
	return wrong
}

// TestFaultsNoticed takes an accepted message away, and delivers one again.
func TestFaultsNoticed(t *testing.T) {
	t.Parallel()
	x := newTraced(t, filepath.Join(newSite(t).dir, "noticed"))
	x.options = []string{"-o", "/dev/null", "-e", "trace=none"}
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
	if err := os.WriteFile(filepath.Join(x.dir, "got"), []byte("Subject: 0\nSubject: 0\nSubject: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if wrong := x.account(replies, false); len(wrong) != 1 || !strings.Contains(wrong[0], "2 times") {
		t.Errorf("a message delivered twice: %v", wrong)
	}
}
