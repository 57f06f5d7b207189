//go:build system

package faults

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"smap/internal/crash"
	"smap/internal/systest/kit"
)

// TestTraces records smap, smapd, smapq take and the reader in Python at work, one after the other on one spool, with kills
// at any moment: each record is a path of the format, whose states and syncs internal/crash knows. TRACES is how many
// messages; make proof takes 10,000.
func TestTraces(t *testing.T) {
	t.Parallel()
	least, err := strconv.Atoi(cmp.Or(os.Getenv("TRACES"), "300"))
	if err != nil {
		t.Fatalf("TRACES: %v", err)
	}
	s := kit.NewSite(t)
	x := newTraced(t, s.File("traced"))
	x.to = []string{"ann"}
	script := s.Write(s.File("spoolfmt.py"), kit.ReadFile(t, kit.Tree("contrib", "python", "spoolfmt.py")), 0o644)
	take := [][]string{
		{kit.Program(t, "smapd"), "-c", x.table, "-once"},
		{kit.Program(t, "smapq"), "-d", x.spool, "take", "-q", "/bin/sh", "-c", "cat >/dev/null"},
		{"/usr/bin/python3", script, "drain", x.spool, "/bin/sh", "-c", "cat >/dev/null"},
	}
	f := crash.NewFollower()
	kills, rounds := 0, 0
	for ; f.Messages() < least; rounds++ {
		if rounds > least {
			t.Fatalf("%d messages after %d rounds", f.Messages(), rounds)
		}
		kills += x.followed(t, f, func(after time.Duration) bool { return x.fedUntil(t, after) })
		words := take[rounds%len(take)]
		kills += x.followed(t, f, func(after time.Duration) bool { return x.killedAfter(t, after, nil, words...) })
		if t.Failed() {
			return
		}
	}
	t.Logf("%d messages in %d rounds, %d of them answered, %d kills", f.Messages(), rounds, f.Answers(), kills)
	if kills == 0 {
		t.Error("nothing was killed")
	}
	if f.Answers() < least/2 {
		t.Errorf("only %d of %d messages were answered: the syncs before an answer were not looked at", f.Answers(), f.Messages())
	}
}

// followed records what one program does, sometimes until it is killed, and follows the record. It returns 1 for a kill.
func (x *traced) followed(t *testing.T, f *crash.Follower, run func(after time.Duration) bool) (kills int) {
	t.Helper()
	record := filepath.Join(x.dir, "trace")
	x.options = []string{"-A", "-o", record, "-y", "-xx", "-s", "100000", "-e", "signal=none", "-e", "trace=" + crash.Calls}
	if err := os.RemoveAll(record); err != nil {
		t.Fatal(err)
	}
	after := time.Duration(0)
	if rand.IntN(3) == 0 {
		after = 50*time.Millisecond + rand.N(1500*time.Millisecond)
	}
	killed := run(after)
	file, err := os.Open(record)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ops, err := crash.Read(file, x.spool)
	if err == nil {
		err = f.Follow(ops)
	}
	if killed {
		kills = 1
		var names []string
		for _, box := range []string{"tmp", "new", "cur", "bad"} {
			all, _ := filepath.Glob(filepath.Join(x.spool, box, "*")) // the pattern is right
			for _, name := range all {
				names = append(names, box+"/"+filepath.Base(name))
			}
		}
		if err == nil {
			err = f.Adopt(names)
		}
	}
	if err != nil {
		t.Errorf("%v\n%s", err, kit.Tail(kit.ReadFile(t, record), 3000))
	}
	return kills
}

// fedUntil has several clients send to a smap that leaves when it has no work any more, or is killed.
func (x *traced) fedUntil(t *testing.T, after time.Duration) (killed bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	const clients, messages = 4, 10
	var sending sync.WaitGroup
	for i := range clients {
		sending.Go(func() {
			sendMany(address, fmt.Sprint(i), messages) //nolint:errcheck // it fails where smap was killed
		})
	}
	killed = x.killedAfter(t, after, socket, kit.Program(t, "smap"), "-c", x.table)
	socket.Close() // and whoever was not answered yet hears of it
	sending.Wait()
	return killed
}

// killedAfter runs a command under strace, and kills what strace watches after a while; 0 is never.
func (x *traced) killedAfter(t *testing.T, after time.Duration, stdin *os.File, words ...string) (killed bool) {
	t.Helper()
	words = slices.Concat([]string{"strace", "-f"}, x.options, words)
	cmd := exec.Command(words[0], words[1:]...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if stdin != nil {
		cmd.Stdin = stdin
	}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: uint32(x.uid), Gid: uint32(x.gid)}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd.Wait() //nolint:errcheck // a kill is no success
	}()
	limit := time.After(3 * time.Minute)
	var strike <-chan time.Time
	if after > 0 {
		strike = time.After(after)
	}
	for {
		select {
		case <-done:
			return killed
		case <-strike:
			for _, pid := range kit.Family(cmd.Process.Pid)[1:] {
				killed = syscall.Kill(pid, syscall.SIGKILL) == nil || killed
			}
		case <-limit:
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // may be gone
			<-done
			t.Fatalf("%v did not end: %s", words, fmt.Sprint(log.String()))
		}
	}
}
