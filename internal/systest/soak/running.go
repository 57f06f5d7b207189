//go:build system

package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// A soak has two spools under a mixed load. On the calm one nothing is killed, and its processes live from the beginning
// to the end; some are told to read their tables again, and new/ is taken away and put back. On the stormy one everything
// is killed again and again, and new/ is replaced.
type soak struct {
	t     *testing.T
	lasts time.Duration
	twins bool // what has been at work is compared with what has just begun
	smapq string

	calm, storm                  *soakSite
	undisturbed, reloaded, smapd *kept // of the calm one
	watch                        *kept
	killed                       map[int]bool // processes of the stormy one
	gauges                       gauges
	mu                           sync.Mutex
	happened                     map[string]int
	last                         int // pieces of mail after the load
	wrong                        []string
}

// run soaks the smap of a directory, and returns what is wrong.
func (s *soak) run(smapDir string) []string {
	s.t.Helper()
	s.smapq, s.happened, s.killed = kit.Program(s.t, "smapq"), map[string]int{}, map[int]bool{}
	idle := "smap: timeout 10"
	if s.short() {
		idle = "smap: timeout 3"
	}
	s.makeCalm(smapDir, idle)
	s.makeStorm(smapDir, idle)
	s.t.Cleanup(func() {
		for _, k := range slices.Concat(s.calm.all, s.storm.all) {
			if pid := k.parent(); pid > 0 {
				syscall.Kill(-pid, syscall.SIGKILL) //nolint:errcheck // has ended, if all went well
			}
			if s.t.Failed() && k.starts > 0 {
				s.t.Logf("%s said:\n%s", k.name, kit.Tail(kit.ReadFile(s.t, k.log), 4000))
			}
		}
	})
	work, endWork := context.WithCancel(context.Background())
	defer endWork()
	var working sync.WaitGroup
	for _, k := range slices.Concat(s.calm.all, s.storm.all) {
		working.Go(func() { s.check(k.keep(work)) })
	}
	s.load(smapDir)
	if s.twins {
		s.check(s.compare())
	}
	endWork()
	working.Wait()
	s.ends()
	return s.wrong
}

func (s *soak) short() bool { return s.lasts < 5*time.Minute }

func (s *soak) check(err error) {
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wrong = append(s.wrong, err.Error())
	}
}

// makeCalm: two smaps and an smapd with an LMTP server behind it, and reports to senders.
func (s *soak) makeCalm(smapDir, idle string) {
	sink := kit.NewSinkTo(s.t, true, func(kit.Sunk) {})
	s.calm = newSoakSite(s.t, "calm", kit.CutContent, idle, "smapd: agent lmtp "+sink.Addr, "smapd: bounce yes", "smapd: bounce-agent lmtp "+sink.Addr)
	sink.Verdict = s.verdict
	s.undisturbed = s.calm.smap(smapDir, "smap, undisturbed")
	s.reloaded = s.calm.smap(smapDir, "smap, reloaded")
	s.smapd = s.calm.with("smapd, reloaded", kit.Program(s.t, "smapd"), "-c", s.calm.Table)
	s.watch = s.calm.with("smapq watch", s.smapq, "-d", s.calm.Spool, "watch", "--json")
}

// verdict is what the LMTP server says of a recipient; see piece.
func (s *soak) verdict(m kit.Sunk, rcpt string) string {
	b := s.calm.books
	to, _, _ := strings.Cut(strings.TrimPrefix(rcpt, "<"), "@")
	if strings.HasPrefix(m.Mail, "<>") {
		b.note(b.reported, to)
		return "250 2.0.0 taken"
	}
	switch kind, _, _ := strings.Cut(to, "-"); {
	case kind == "fail":
		return "550 5.1.1 nobody"
	case kind == "gone", kind == "defer" && b.note(b.refused, to) == 1:
		return "451 4.3.0 later"
	case kind == "lost" && b.note(b.refused, to) == 1:
		return ""
	}
	sender, _, _ := strings.Cut(strings.TrimPrefix(m.Mail, "<"), "@")
	b.delivered(to, sender, m.Content)
	return "250 2.0.0 taken"
}

// makeStorm: an smap that listens, one for each connection, and an smapd with a script behind it.
func (s *soak) makeStorm(smapDir, idle string) {
	k := newSoakSite(s.t, "storm", func(mark string) string { _, content := kit.Marked(mark); return content }, idle)
	s.storm = k
	uid, gid := kit.IDs(s.t, kit.SmapdUser)
	if err := os.Chown(k.Write(k.File("ledger"), "", 0o600), uid, gid); err != nil {
		s.t.Fatal(err)
	}
	k.Mkdir(k.File("state"), 0o700, uid, gid)
	agent := k.Write(k.File("agent"), strings.NewReplacer("LEDGER", k.File("ledger"), "STATE", k.File("state")).Replace(soakAgent), 0o755)
	for _, table := range []string{k.Table, k.plain} {
		k.Write(table, kit.ReadFile(s.t, table)+"smapd: agent exec "+agent+" {recipient}\n", 0o600)
	}
	k.smap(smapDir, "smap, killed")
	k.with("smapd, killed", kit.Program(s.t, "smapd"), "-c", k.Table)
}

// often is how often something happens that a long soak has so often.
func (s *soak) often(mean time.Duration) time.Duration {
	if s.short() {
		return mean / 8
	}
	return mean
}

// load makes everything happen for the time that the soak lasts, and then waits until the spools are empty.
func (s *soak) load(smapDir string) {
	ctx, stop := context.WithTimeout(context.Background(), s.lasts)
	defer stop()
	operating, stopOperating := context.WithCancel(context.Background())
	defer stopOperating()
	var loading, operators sync.WaitGroup
	loading.Go(s.storm.inetd(ctx, smapDir))
	for _, k := range []*soakSite{s.calm, s.storm} {
		kit.Listening(s.t, k.ports[0])
		kit.Listening(s.t, k.ports[1])
		sure, kinds, mean := k == s.calm, stormKinds, 1500*time.Millisecond
		if sure {
			kinds, mean = calmKinds, 450*time.Millisecond // there no process is started for a message
		}
		for i := range 4 {
			loading.Go(func() { k.client(ctx, fmt.Sprint("client", i), mean, kinds, sure) })
		}
		for range 3 {
			loading.Go(func() { k.annoyances(ctx, s.often(1500*time.Millisecond), sure) })
		}
		loading.Go(func() { k.feeder(ctx, s.smapq, s.often(3*time.Second), kinds) })
		operators.Go(func() { k.operator(operating, s.smapq, s.often(8*time.Second)) })
	}
	for what, event := range map[string]struct {
		mean time.Duration
		do   func() error
	}{
		"HUP of smap, reloaded":  {time.Minute, func() error { s.reloaded.hup(); return nil }},
		"HUP of smapd, reloaded": {time.Minute, func() error { s.smapd.hup(); return nil }},
		"new/ away and back":     {90 * time.Second, s.calm.away},
		"kill":                   {8 * time.Second, s.kill},
		"HUP where it is killed": {20 * time.Second, func() error { s.storm.all[rand.IntN(2)].hup(); return nil }},
		"another new/":           {2 * time.Minute, func() error { return s.storm.another(s.often(80*time.Second), s.storm.all[0].hup) }},
	} {
		loading.Go(func() {
			for pause(ctx, s.often(event.mean)) {
				s.check(event.do())
				s.mu.Lock()
				s.happened[what]++
				s.mu.Unlock()
			}
		})
	}
	s.sample(ctx)
	loading.Wait()
	for _, k := range []*soakSite{s.calm, s.storm} {
		waits := func() int { return k.waiting("new") + k.waiting("cur") + k.waiting("bad") }
		for _, old := range k.old {
			s.check(k.putBack(old))
		}
		if !kit.Eventually(2*time.Minute, func() bool { return waits() == 0 }) {
			s.check(fmt.Errorf("%s: left in new/: %.500v, in cur/: %.500v, in bad/: %.500v", k.name, k.Names("new"), k.Names("cur"), k.Names("bad")))
		}
	}
	stopOperating()
	operators.Wait()
	// smapd keeps room for its next records there; nobody was killed who could leave something else.
	left := func() []string {
		return slices.DeleteFunc(s.calm.Names("tmp"), func(name string) bool { return strings.HasSuffix(name, ".record") })
	}
	if !kit.Eventually(15*time.Second, func() bool { return len(left()) == 0 }) {
		s.check(fmt.Errorf("calm: left in tmp/: %v", left()))
	}
}

func (s *soak) kill() error {
	for _, pid := range s.storm.blow() {
		s.killed[pid] = true
	}
	return nil
}

// waiting counts messages and drops; a content alone is of a feeder that was killed, or found new/ away, before
// its envelope: it was never accepted.
func (k *soakSite) waiting(box string) (n int) {
	for _, name := range k.Names(box) {
		if !strings.HasSuffix(name, ".eml") {
			n++
		}
	}
	return n
}

// sample looks at the calm processes and at all boxes until ctx is done.
func (s *soak) sample(ctx context.Context) {
	steady := []struct {
		name string
		pid  int
	}{
		{s.undisturbed.name + ", parent", s.undisturbed.parent()},
		{s.undisturbed.name + ", child", s.undisturbed.child()},
		{s.reloaded.name + ", parent", s.reloaded.parent()},
		{s.smapd.name + ", parent", s.smapd.parent()},
		{s.smapd.name + ", child", s.smapd.child()},
		{s.watch.name, s.watch.parent()},
	}
	beat := time.NewTicker(max(s.lasts/360, 250*time.Millisecond))
	defer beat.Stop()
	for {
		for _, p := range steady {
			if err := s.gauges.process(p.name, p.pid); err != nil {
				s.check(err)
				return
			}
		}
		s.gauges.add(s.reloaded.name+", processes", float64(len(kit.Family(s.reloaded.parent()))), mostProcesses)
		for _, k := range []*soakSite{s.calm, s.storm} {
			k.turn.RLock()
			for _, box := range []string{"tmp", "new", "cur", "bad"} {
				if k == s.calm || box == "cur" || box == "bad" { // who is killed may leave files in the others
					s.gauges.add(k.name+", files in "+box, float64(k.Count(box)), mostFiles)
				}
			}
			k.turn.RUnlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
	}
}
