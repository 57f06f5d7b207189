package courier

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"smap/courier/agent"
)

// TestNoRoomForCopy: a message whose private copy fits neither on the disk nor into
// memory delays only itself, and fills the disk less and less often.
func TestNoRoomForCopy(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts a file system and makes files of other users")
	}
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	if err := b.feed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", b.dir, "tmpfs", 0, "size=100m,mode=0700"); err != nil {
		t.Skip("no mounts here: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(b.dir, syscall.MNT_DETACH) })
	b.reopen()
	id := b.message(strings.Repeat("0123456789abcde\n", 65<<16), "big@x.test") // 65 MiB
	for _, s := range []string{".eml", ".envelope"} {
		if err := os.Chown(b.path("new/"+id+s), 12345, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(b.path("filler"), make([]byte, 10<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.eventually("trouble", func() bool { return b.log.count("what=spool") == 1 })
	for range 20 {
		was := b.log.count("to=<good@x.test>")
		b.message("fine\n", "good@x.test")
		b.eventually("an honest message", func() bool { return b.log.count("to=<good@x.test>") > was })
	}
	b.halt()
	if b.log.count("what=spool") > 2 || b.log.count("to=<big@x.test>") != 0 {
		t.Error("log lines")
	}
	if err := b.feed.Close(); err != nil {
		t.Error(err)
	}
}

// fullDisk is a bench on a small disk, and what fills it.
func fullDisk(t *testing.T, a agent.Agent) (*bench, func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root mounts a file system")
	}
	b := newBench(t, a)
	if err := b.feed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", b.dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skip("no mounts here: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(b.dir, syscall.MNT_DETACH) })
	b.reopen()
	t.Cleanup(func() { // before the disk goes
		b.halt()
		_ = b.feed.Close()
	})
	return b, func() {
		t.Helper()
		if err := os.WriteFile(b.path("filler"), make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// TestRefusedOnFullDisk: failures that cannot be written down take no slots. Other mail is
// delivered, and so makes room.
func TestRefusedOnFullDisk(t *testing.T) {
	b, fill := fullDisk(t, agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		if job.Recipients[0].Address == "bad@x.test" {
			return job.Same(agent.Result{Outcome: agent.Failed, Text: "550 no"}), nil
		}
		return job.Same(agent.Result{Outcome: agent.Delivered}), nil
	}))
	b.cfg.MaxChildren = 3
	for range b.cfg.MaxChildren {
		b.message("x\n", "bad@x.test")
	}
	for range 20 {
		b.message("x\n", "good@x.test")
	}
	fill()
	b.run()
	b.eventually("the good mail", func() bool { return b.log.count("to=<good@x.test>") == 20 })
	if err := os.Remove(b.path("filler")); err != nil {
		t.Fatal(err)
	}
}

// TestRefusedLoggedOnce: a failure that cannot be written down costs another attempt, and a
// line in the log only when it is written.
func TestRefusedLoggedOnce(t *testing.T) {
	var calls atomic.Int32
	b, fill := fullDisk(t, agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		calls.Add(1)
		return job.Same(agent.Result{Outcome: agent.Failed, Text: "550 no"}), nil
	}))
	b.cfg.Schedule.Retry = []time.Duration{time.Millisecond}
	b.message("x\n", "bad@x.test")
	fill()
	b.run()
	b.eventually("several attempts", func() bool { return calls.Load() >= 3 })
	if n := b.log.count("msg=failed"); n != 0 {
		t.Errorf("%d lines before it was written", n)
	}
	if err := os.Remove(b.path("filler")); err != nil {
		t.Fatal(err)
	}
	b.eventually("set aside", func() bool { return b.log.count("msg=aside") == 1 })
	if n := b.log.count("msg=failed"); n != 1 {
		t.Errorf("%d lines after it was written", n)
	}
}
