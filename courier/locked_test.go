package courier

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"smap/courier/agent"
)

// lock commits a message whose feeder keeps its lock, and returns the lock.
func (b *bench) lock(id string) *os.File {
	b.t.Helper()
	b.put("tmp/"+id, "x\n")
	f, err := os.Open(b.path("tmp/" + id))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(b.path("tmp/"+id), b.path("new/"+id+".eml")); err != nil {
		b.t.Fatal(err)
	}
	b.put("tmp/"+id+".e", "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\nSize: 2\n\n")
	if err := os.Rename(b.path("tmp/"+id+".e"), b.path("new/"+id+".envelope")); err != nil {
		b.t.Fatal(err)
	}
	return f
}

// TestLockedCostNothing: a thousand contents that their feeders have locked hold up
// nobody, even with one delivery at a time.
func TestLockedCostNothing(t *testing.T) {
	for _, children := range []int{1, 2} {
		t.Run(fmt.Sprint(children), func(t *testing.T) {
			b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
			b.cfg.MaxChildren = children
			for i := range 1000 {
				b.lock(fmt.Sprintf("l%04d", i))
			}
			b.run()
			for range 20 {
				n := b.log.count("to=<good@x.test>")
				b.message("fine\n", "good@x.test")
				b.eventually("an honest message", func() bool { return b.log.count("to=<good@x.test>") > n })
			}
		})
	}
}

// TestUnlocked: a message that was locked at its event is delivered when its feeder
// lets go and touches the envelope; an hour's wait between looks would not do.
func TestUnlocked(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.run()
	f := b.lock("m")
	if err := b.c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(b.path("new/m.envelope"), 0o640); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	b.eventually("delivered", b.empty)
}

// TestLinkedCostNothing: contents with a second name delay nobody.
func TestLinkedCostNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.cfg.MaxChildren = 1
	head := "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\nSize: 2\n\n"
	for i := range 1000 {
		id := fmt.Sprintf("l%04d", i)
		b.put("new/"+id+".eml", "x\n")
		if err := os.Link(b.path("new/"+id+".eml"), b.path("x"+id)); err != nil {
			t.Fatal(err)
		}
		b.put("new/"+id+".envelope", head)
	}
	b.run()
	for range 5 {
		was := b.log.count("to=<good@x.test>")
		b.message("fine\n", "good@x.test")
		b.eventually("an honest message", func() bool { return b.log.count("to=<good@x.test>") > was })
	}
}
