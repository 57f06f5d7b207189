package courier

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"smap/courier/agent"
)

// TestKeepSleeps: outcomes that cannot be written are tried again after waits that
// grow, each on its own, and the courier's end ends that.
func TestKeepSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var writes [2][]time.Duration
		for i := range writes {
			d := &delivery{held: func(error) {}, replaced: func() bool { return false }}
			go d.keep(ctx, func() result {
				if ctx.Err() != nil {
					return result{verdict: verdictFinished}
				}
				writes[i] = append(writes[i], time.Since(began))
				if i == 1 && len(writes[i]) == 3 {
					return result{verdict: verdictFinished}
				}
				return result{verdict: verdictLost, err: errors.New("no space left on device")}
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(writes[0]) != 6 || len(writes[1]) != 3 { // at 0, 1, 3, 7, 15, 31 seconds
			t.Errorf("written at %v and %v", writes[0], writes[1])
		}
		cancel()
		synctest.Wait()
	})
}

// TestNoRoomForCopy: a message whose private copy does not fit on the disk delays
// only itself, and fills the disk less and less often.
func TestNoRoomForCopy(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts a file system and makes files of other users")
	}
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	if err := b.feed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", b.dir, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		t.Skip("no mounts here: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(b.dir, syscall.MNT_DETACH) })
	b.reopen()
	id := b.message(strings.Repeat("0123456789abcde\n", 10<<16), "big@x.test") // 10 MiB
	for _, s := range []string{".eml", ".envelope"} {
		if err := os.Chown(b.path("new/"+id+s), 12345, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(b.path("filler"), make([]byte, 6<<20), 0o600); err != nil {
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
