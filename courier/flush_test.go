package courier

import (
	"errors"
	"testing"
	"time"

	"smap/courier/agent"
)

// TestOnceWaitsForFlush: a message that is locked may be one that was just finished:
// a slow disk is no reason to report that it cannot be delivered.
func TestOnceWaitsForFlush(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.cfg.Once = true
	c, err := New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.spool.Close()
	l := newLoop(c)
	now := time.Now()
	it := item{name: "m.envelope", cur: true}
	l.d.looks.put(it, 0, now)
	l.d.looks.put(it, 0, now.Add(2*onceGrace))
	if !l.drained(now) {
		t.Error("waits for ever for a message that somebody else has locked")
	}
	l.chores.wantFlush(now)
	if l.drained(now) {
		t.Error("does not wait for the flush")
	}
	l.upkeep(l.chores.nextFlush)
	for l.out > 0 {
		then := <-l.inbox
		then(now)
	}
	if l.drained(now) {
		t.Error("does not look once more after the flush")
	}
	l.side.w.close()
}

// TestFlushFails: while finished messages cannot be flushed, no more are delivered, for
// each keeps descriptors open.
func TestFlushFails(t *testing.T) {
	l := idleLoop(t)
	now := time.Now()
	l.choreEnded("flush", errors.New("fsync: input/output error"), now)
	if !l.d.spool.shut || l.chores.nextFlush.IsZero() {
		t.Error("deliveries go on, or the flush is not tried again")
	}
	l.choreEnded("flush", nil, now)
	l.ended(result{verdict: verdictFinished}, now)
	if l.d.spool.shut {
		t.Error("does not go on")
	}
}
