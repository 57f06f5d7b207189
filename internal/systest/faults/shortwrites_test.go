//go:build system

package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"smap/internal/systest/kit"
)

// A limit of the size of files makes true short writes: the kernel writes as many octets as there is room for, and says so.
// Only the next write fails. strace, which can make any error, cannot do that; here it only looks on.

// limits are sizes from 1 to most: some, or with PROOF_FAULTS=all many.
func limits(most int) []int {
	count := 8
	if os.Getenv("PROOF_FAULTS") == "all" {
		count = 100
	}
	r := rand.New(rand.NewPCG(1, 0))
	var all []int
	for i := range count { // one from each part
		all = append(all, 1+most*i/count+r.IntN(max(most/count, 1)))
	}
	return all
}

// lookForShort has strace write down the writes of the next program, which may make no file larger than limit.
func (x *traced) lookForShort(limit int) {
	x.options = []string{"-o", filepath.Join(x.dir, "strace"), "-s", "0", "-e", "trace=write,pwrite64"}
	x.limit = limit
}

var wrote = regexp.MustCompile(`(?:write\(\d+, ""\.\.\., (\d+)|pwrite64\(\d+, ""\.\.\., (\d+), \d+)\)\s+= (\d+)`)

// short counts the short writes of the last program.
func (x *traced) short() (n int64) {
	x.t.Helper()
	for _, m := range wrote.FindAllStringSubmatch(kit.ReadFile(x.t, filepath.Join(x.dir, "strace")), -1) {
		asked, err1 := strconv.Atoi(m[1] + m[2])
		done, err2 := strconv.Atoi(m[3])
		if err := errors.Join(err1, err2); err != nil {
			x.t.Fatal(err)
		}
		if done > 0 && done < asked {
			n++
		}
	}
	return n
}

// wantShort wants the limits to have done what they are for.
func wantShort(t *testing.T, n, runs int64) {
	t.Helper()
	t.Logf("%d short writes in %d runs", n, runs)
	if n == 0 {
		t.Error("no write was short")
	}
}

// TestShortWrites cuts a file of smap short: the content where that is the larger one, else the envelope. The client hears
// a temporary error, the log has a word, and nothing is left; or the limit was no hindrance.
func TestShortWrites(t *testing.T) {
	t.Parallel()
	base := kit.NewSite(t).Dir
	for _, lines := range []int{1, 1500} {
		t.Run(fmt.Sprintf("%d lines", lines), func(t *testing.T) {
			t.Parallel()
			short := int64(0)
			all := limits(600 + 12*lines)
			for i, n := range all {
				x := newTraced(t, filepath.Join(base, fmt.Sprintf("short%d.%d", lines, i)))
				x.lines = lines
				x.lookForShort(n)
				replies := x.session("ann")
				short += x.short()
				said := x.output
				x.limit = 0
				accepted := strings.HasPrefix(replies[0], "250 ")
				switch {
				case x.timedOut:
					t.Errorf("%d octets: smap hangs", n)
				case !accepted && !strings.HasPrefix(replies[0], "4"):
					t.Errorf("%d octets: %q", n, replies[0])
				case !accepted && !strings.Contains(said, "file too large"):
					t.Errorf("%d octets: the log does not say why: %s", n, said)
				}
				if left, err := filepath.Glob(filepath.Join(x.spool, "*", "*")); err != nil || !accepted && len(left) > 0 {
					t.Errorf("%d octets: left: %q, %v", n, left, err)
				}
				x.once()
				for _, wrong := range x.account(replies, false) {
					t.Errorf("%d octets: %s\n%s", n, wrong, said)
				}
			}
			wantShort(t, short, int64(len(all)))
		})
	}
}

// TestShortWritesNoticed plants a smap that takes a short write for a whole one: strace writes nothing and says that one
// octet was written, which smap then leaves out.
func TestShortWritesNoticed(t *testing.T) {
	t.Parallel()
	base := kit.NewSite(t).Dir
	// strace counts the calls of each thread apart, and Go moves a session between threads: a number that meets a reply
	// in one run meets the content in another.
	for run := range 120 {
		n := run%16 + 1
		x := newTraced(t, filepath.Join(base, fmt.Sprintf("noticed%d", run)))
		x.options = []string{"-o", "/dev/null", "-e", "trace=write", "-e", fmt.Sprintf("inject=write:retval=1:when=%d", n)}
		// Where it is a reply that is lost, both wait for each other.
		table := kit.ReadFile(t, x.table) + "smap: timeout 3\n"
		if err := os.WriteFile(x.table, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
		replies := x.session("ann")
		x.once()
		if !strings.HasPrefix(replies[0], "250 ") {
			continue // it was a reply
		}
		for _, wrong := range x.account(replies, false) {
			t.Logf("write %d: %s", n, wrong)
			return
		}
	}
	t.Error("an octet of each write was lost, and no message was found wrong")
}

// TestShortWritesSmapq cuts the files of smapq's commands short, its standard output as well. See TestFaultsSmapq.
func TestShortWritesSmapq(t *testing.T) {
	t.Parallel()
	var short, runs atomic.Int64
	t.Cleanup(func() { wantShort(t, short.Load(), runs.Load()) }) // after all of them
	eachTool(t, func(t *testing.T, c tool, next func() *traced) {
		x := next()
		x.lookForShort(0)
		_, plain := x.call(c, c.args)
		for _, n := range limits(700) {
			x := next()
			x.lookForShort(n)
			said, wrong := x.try(c, "write", plain)
			short.Add(x.short())
			runs.Add(1)
			for _, w := range wrong {
				t.Errorf("%d octets: %s\n%s", n, w, said)
			}
		}
	})
}

// TestShortWritesSmapd cuts the files of smapd short: a message in a Maildir, and the private copy of a message whose
// content another user could still change. Neither is delivered short; both are delivered once there is room.
func TestShortWritesSmapd(t *testing.T) {
	t.Parallel()
	base := kit.NewSite(t).Dir
	for _, agent := range []string{"maildir DIR/box", "exec DIR/agent"} {
		kind, _, _ := strings.Cut(agent, " ")
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			short := int64(0)
			all := limits(10 * 3000)
			for i, n := range all {
				x := newToolbox(t, filepath.Join(base, fmt.Sprintf("%s%d", kind, i)), tool{})
				x.lines = 3000
				x.put("new", 1, "")
				stranger, _ := kit.IDs(t, kit.SmapUser)
				if err := os.Chown(filepath.Join(x.spool, "new", "m1.eml"), stranger, x.gid); err != nil {
					t.Fatal(err)
				}
				table := strings.Replace(kit.ReadFile(t, x.table), "exec "+x.dir+"/agent {recipient}", strings.ReplaceAll(agent, "DIR", x.dir), 1)
				if err := os.WriteFile(x.table, []byte(table), 0o600); err != nil {
					t.Fatal(err)
				}
				x.lookForShort(n)
				x.run(nil, nil, "smapd", "-c", x.table, "-once") //nolint:errcheck // what counts is what it leaves
				short += x.short()
				said := x.output
				if x.timedOut {
					t.Errorf("%d octets: smapd hangs", n)
				}
				if got := x.received(); len(got) > 0 {
					t.Errorf("%d octets: %d were delivered\n%s", n, len(got[0]), said)
				}
				if !strings.Contains(said, "file too large") {
					t.Errorf("%d octets: the log does not say why: %s", n, said)
				}
				x.limit = 0
				x.plainly()
				x.call(tool{}, "retry --all")
				x.once()
				if got := x.received(); len(got) != 1 || !strings.HasSuffix(got[0], x.text(1, "x")) {
					t.Errorf("%d octets: afterwards %d messages are there\n%s", n, len(got), said)
				}
			}
			wantShort(t, short, int64(len(all)))
		})
	}
}

// received are the messages that agents have, in the Maildir box and in the file got.
func (x *traced) received() (all []string) {
	x.t.Helper()
	names, err := filepath.Glob(filepath.Join(x.dir, "box", "new", "*"))
	if err != nil {
		x.t.Fatal(err)
	}
	got := filepath.Join(x.dir, "got")
	if _, err := os.Stat(got); err == nil {
		names = append(names, got)
	}
	for _, n := range names {
		all = append(all, kit.ReadFile(x.t, n))
	}
	return all
}
