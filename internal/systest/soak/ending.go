//go:build system

package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"smap/internal/systest/kit"
	"smap/spoolfmt"
)

// compare compares the calm processes, now that nothing is to do, with ones that have just begun: they have as many
// descriptors and goroutines. Each is ended for that, since only then it tells of its goroutines; its parent, or we, start
// the twin.
func (s *soak) compare() error {
	s.check(s.quiet())
	for _, k := range s.calm.all {
		if k.starts != 1 {
			return fmt.Errorf("%s was started %d times", k.name, k.starts)
		}
	}
	for _, p := range []struct {
		*kept
		what string
		pid  func() int
	}{
		{s.smapd, "child", s.smapd.child},
		{s.undisturbed, "child", s.undisturbed.child},
		{s.smapd, "parent", s.smapd.parent},
		{s.reloaded, "parent", s.reloaded.parent},
	} {
		var n, open [2]int
		var dump [2]string
		for i := range 2 {
			// Each has had something to do before: HUP, and mail.
			p.hup()
			time.Sleep(time.Second)
			if err := s.quiet(); err != nil {
				return err
			}
			pid := p.pid()
			others, contents, err := descriptors(pid)
			if err != nil {
				return err
			}
			open[i] = others + contents
			if n[i], dump[i], err = goroutines(pid, p.log); err != nil || n[i] == 0 {
				return fmt.Errorf("%s, %s: no goroutines: %w: %s", p.name, p.what, err, dump[i])
			}
			if !kit.Eventually(20*time.Second, func() bool { now := p.pid(); return now != 0 && now != pid }) {
				return fmt.Errorf("%s, %s: no other one was started", p.name, p.what)
			}
		}
		s.t.Logf("%s, %s: %d descriptors and %d goroutines at the end, its twin has %d and %d", p.name, p.what, open[0], n[0], open[1], n[1])
		if open[0] > open[1] || n[0] > n[1] {
			s.check(fmt.Errorf("%s, %s: more than its twin: %s\nThe twin: %s", p.name, p.what, dump[0], dump[1]))
		}
	}
	return nil
}

// descriptors counts those of a process. Those of contents are apart: smapd keeps up to 128 of messages that are delivered,
// until their end is synced, and how many depends on the disk. The room that it keeps for its next records does not count:
// that is as much as it once had deliveries at a time.
func descriptors(pid int) (others, contents int, err error) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	open, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0, err
	}
	for _, fd := range open {
		to, err := os.Readlink(dir + fd.Name())
		to = strings.TrimSuffix(to, " (deleted)")
		switch {
		case err != nil || strings.HasSuffix(to, ".record"): // or closed meanwhile
		case strings.HasSuffix(to, ".eml"):
			contents++
		default:
			others++
		}
	}
	return others, contents, nil
}

// quiet sends a piece of mail through each smap of the calm spool, and waits until nothing is to do any more.
func (s *soak) quiet() error {
	for i, port := range s.calm.ports {
		var err error
		ok := kit.Eventually(20*time.Second, func() bool {
			s.last++
			l := s.calm.piece(fmt.Sprint("last", i), s.last, []string{"ok"})
			err = session(port, "TLS", s.calm.ca, []piece{l}, s.calm.books)
			return err == nil
		})
		if !ok {
			return fmt.Errorf("port %d after the load: %w", port, err)
		}
	}
	if !kit.Eventually(20*time.Second, func() bool { return s.calm.waiting("new")+s.calm.waiting("cur") == 0 }) {
		return fmt.Errorf("left after the load: in new/ %v, in cur/ %v", s.calm.Names("new"), s.calm.Names("cur"))
	}
	time.Sleep(2 * time.Second) // the last syncs; a session's last moment
	return nil
}

// ends looks at what is left, when all have ended.
func (s *soak) ends() {
	s.wrong = append(s.wrong, s.gauges.verdict(s.t)...)
	for _, k := range []*soakSite{s.calm, s.storm} {
		left := k.Names("tmp")
		orphans, err := k.sweep()
		s.check(err)
		s.t.Logf("%s: %d files in tmp/ and %d contents without an envelope were left; a sweep 37 hours later took them", k.name, len(left), orphans)
	}
	again := s.readLedger()
	s.wrong = append(s.wrong, s.calm.books.balance(true, func(string) bool { return false })...)
	s.wrong = append(s.wrong, s.storm.books.balance(false, func(to string) bool { return again[to] })...)
	for _, k := range []*soakSite{s.calm, s.storm} {
		s.t.Logf("%s: %d sessions and other feeders, %d did not end well; %s", k.name, k.tries, k.failed, k.books.counts())
		for _, p := range append(k.all, &kept{name: "smap under inetd", log: k.File("inetd-smap.log")}) {
			text, err := os.ReadFile(p.log)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				s.check(err)
			}
			for _, word := range []string{"panic", "fatal error"} {
				if lines := kit.LinesWith(string(text), word); len(lines) > 0 {
					s.check(fmt.Errorf("%s: %s", p.name, lines[0]))
				}
			}
		}
	}
	s.t.Logf("what happened: %v; the killed were started %d and %d times", s.happened, s.storm.all[0].starts, s.storm.all[1].starts)
}

// sweep recovers the spool as a drainer does, 37 hours from now, and wants nothing left but orphans in bad/.
func (k *soakSite) sweep() (orphans int, err error) {
	sp, err := spoolfmt.OpenDrainer(k.Spool, spoolfmt.Options{})
	if err != nil {
		return 0, err
	}
	sweeper := sp.NewSweeper()
	for i := range 2 { // an orphan is looked at twice
		later := time.Now().Add(37*time.Hour + time.Duration(i)*2*spoolfmt.LookAgain)
		err = errors.Join(err, sweeper.Sweep(context.Background(), later))
	}
	if err := errors.Join(err, sp.Close()); err != nil {
		return 0, err
	}
	for _, box := range []string{"tmp", "new", "cur", "bad"} {
		for _, name := range k.Names(box) {
			if box == "bad" && strings.HasSuffix(name, ".eml") && !slices.Contains(k.Names(box), strings.TrimSuffix(name, ".eml")+".envelope") {
				orphans++
			} else {
				err = errors.Join(err, fmt.Errorf("%s: %s/%s is left", k.name, box, name))
			}
		}
	}
	return orphans, err
}

// readLedger reads what the stormy agent did. It returns the recipients whose repeated deliveries are explained: the smapd that
// had started the agent before was killed, and could not write down what the agent had done.
func (s *soak) readLedger() (explained map[string]bool) {
	explained = map[string]bool{}
	b := s.storm.books
	type call struct{ pid, parent string }
	working, last := map[string]call{}, map[string]call{} // by recipient: going on, and delivered
	for line := range strings.Lines(kit.ReadFile(s.t, s.storm.File("ledger"))) {
		word := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 6)
		switch {
		case word[0] == "begin" && len(word) == 4:
			pid, to := word[1], word[2]
			if other := working[to].pid; other != "" {
				b.complain("%s: agent %s began while agent %s was at work", to, pid, other)
			}
			working[to] = call{pid, word[3]}
		case word[0] == "end" && len(word) == 6:
			pid, to, verdict, sender, text := word[1], word[2], word[3], word[4], word[5]
			this := working[to]
			delete(working, to)
			if this.pid != pid {
				b.complain("%s: agent %s ended, %q was at work", to, pid, this.pid)
			}
			if verdict != "0" {
				continue
			}
			b.delivered(to, sender, strings.ReplaceAll(text, "|", "\n"))
			if before, again := last[to]; again {
				parent, err := strconv.Atoi(before.parent)
				dead := err == nil && (s.killed[parent] || parent == 1)
				known, told := explained[to]
				explained[to] = dead && (known || !told)
			}
			last[to] = this
		default:
			b.complain("ledger: %q", line)
		}
	}
	for to, c := range working {
		b.complain("%s: agent %s began and never ended", to, c.pid)
	}
	return explained
}
