package courier

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"smap/courier/agent"
)

func TestKeyTurns(t *testing.T) {
	l, now := testLane(2), time.Now()
	for i := range 10 {
		for _, cur := range []bool{true, false} {
			l.put(item{at: int64(i), name: fmt.Sprint(cur, i), cur: cur, keys: &agent.Keys{To: "box"}})
		}
	}
	started := map[bool]int{}
	for range 10 {
		it, ok := l.next(now)
		if !ok {
			t.Fatal("nothing starts")
		}
		if _, ok := l.next(now); ok {
			t.Fatal("the mailbox has both slots")
		}
		started[it.cur]++
		l.end(it)
	}
	if started[true] != 5 {
		t.Errorf("%d of 10 are deferred mail", started[true])
	}
}

func TestLoneMessage(t *testing.T) {
	cfg, err := Config{Dir: "/spool", Agent: keyed{all(agent.Result{})}, MaxChildren: 4, Log: slog.New(slog.DiscardHandler)}.complete()
	if err != nil {
		t.Fatal(err)
	}
	d, now := newDispatcher(), time.Now()
	d.configure(&cfg)
	offer := func(name, key string) bool {
		d.offer(item{at: now.UnixNano(), name: name})
		for _, it := range d.toSort(now) {
			d.sorting = false
			d.sorted(it, []place{{keys: agent.Keys{To: key}}})
		}
		_, ok := d.next(now)
		return ok
	}
	for i, want := range []bool{true, true, true, false, false} {
		if got := offer(fmt.Sprint("hangs", i), "a"); got != want {
			t.Fatalf("%d of 4 run, and another one starts: %v", i, got)
		}
	}
	if !offer("good", "b") {
		t.Error("a mailbox that hangs has all slots")
	}
	d.lanes[0].end(item{name: "hangs0"})
	if _, ok := d.next(now); !ok {
		t.Error("what the lone message kept waiting does not start after it")
	}
}

type keyed struct{ agentFunc }

func (keyed) Keys(to, client string) agent.Keys { return agent.Keys{To: to, Client: client} }

func TestTwoKeys(t *testing.T) {
	for slots := 1; slots <= 8; slots++ {
		w := keyWalk{t: t, l: testLane(slots), rng: rand.New(rand.NewPCG(1, uint64(slots))), now: time.Now()}
		const messages = 5000
		for i := range messages {
			w.l.put(item{at: int64(i), name: fmt.Sprint(i), cur: w.rng.IntN(2) == 0, keys: &agent.Keys{To: w.key("to"), Client: w.key("client")}})
			w.start()
			for len(w.running) > 0 && (w.l.size > 50 || w.rng.IntN(3) == 0) {
				w.end()
			}
		}
		for len(w.running) > 0 {
			w.end()
		}
		if l := w.l; w.started != messages || l.size != 0 || len(l.keys) != 0 || len(l.blocked) != 0 {
			t.Errorf("%d of %d started, %d left, keys %v", w.started, messages, l.size, l.keys)
		}
	}
}

type keyWalk struct {
	t       *testing.T
	l       *lane
	rng     *rand.Rand
	now     time.Time
	running []item
	started int
}

func (w *keyWalk) key(kind string) string {
	if w.rng.IntN(50) == 0 {
		return ""
	}
	return fmt.Sprint(kind, w.rng.IntN(3))
}

func (w *keyWalk) end() {
	i := w.rng.IntN(len(w.running))
	w.l.end(w.running[i])
	w.running = slices.Delete(w.running, i, i+1)
	w.start()
}

func (w *keyWalk) start() {
	w.t.Helper()
	for it, ok := w.l.next(w.now); ok; it, ok = w.l.next(w.now) {
		w.running = append(w.running, it)
		w.started++
	}
	with := map[string]int{}
	for _, it := range w.running {
		with[it.hangs().To]++
		if it.hangs().Client != "" {
			with[it.hangs().Client]++
		}
	}
	full := func(key string) bool { return key != "" && with[key]+with[""] >= w.l.share() }
	for key, n := range with {
		if key != "" && n > w.l.share() {
			w.t.Fatalf("%s has %d of %d slots", key, n, w.l.slots)
		}
	}
	if len(w.running) == w.l.slots {
		return
	}
	w.l.each(func(it item) {
		if !full(it.hangs().To) && !full(it.hangs().Client) && (!it.cur || w.l.deferred < w.l.share()) {
			w.t.Fatalf("%+v waits beside %+v in %d slots", it, w.running, w.l.slots)
		}
	})
}
