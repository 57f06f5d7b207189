//go:build system

package delivery

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestRivals has two smapd and three drainers of a few lines of shell fight over at least 2,000 messages, while two feeders
// bring them: each is taken once. There are more of them where somebody is slow, until all have had their share: on some
// machines a shell takes a tenth of a second for the programs that it starts for each.
func TestRivals(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewLedger(t, s, "sleep 0.01") // for the shells to keep up
	s.Rules("smapd: log stderr", "smapd: wakeup 1", "smapd: maxchildren 2", "smapd: agent exec "+agent.Program)
	uid, gid := kit.IDs(t, kit.SmapdUser)
	script := s.Write(s.File("drain"), kit.DrainScript, 0o755)
	taken := s.Path("taken")
	s.Mkdir(taken, 0o700, uid, gid)
	var shells, feeders sync.WaitGroup
	for range 3 {
		shells.Go(func() {
			if out, err := kit.As(t, uid, gid, "/bin/sh", script, s.Spool, taken); err != nil || out != "" {
				t.Errorf("a shell drainer: %v: %s", err, out)
			}
		})
	}
	couriers := []*kit.Process{kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table), kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)}
	finished := func(p *kit.Process) int { return strings.Count(p.Log(), " finished ") }
	const each, most, share = 1000, 10000, 100
	competed := func() bool {
		own, err := os.ReadDir(taken)
		return err == nil && len(own) > share && finished(couriers[0]) >= share && finished(couriers[1]) >= share
	}
	few := func() bool {
		names, err := os.ReadDir(s.Path("new"))
		return err == nil && len(names) < 200
	}
	var fed [2][]string
	for f := range fed {
		feeders.Go(func() {
			feeder := kit.OwnFeeder(t, s.Spool)
			for i := range most {
				if i >= each && i%50 == 0 && (!kit.Eventually(time.Minute, few) || competed()) {
					break
				}
				mark := fmt.Sprintf("f%d-%04d", f, i)
				feeder.Pair(mark, "bob@system.test")
				fed[f] = append(fed[f], mark)
				time.Sleep(time.Millisecond)
			}
		})
	}
	feeders.Wait()
	marks := slices.Concat(fed[:]...)
	shells.Wait()
	s.Drained(time.Minute)

	seen, byShell := agent.Deliveries(), 0
	own, err := filepath.Glob(filepath.Join(taken, "*", "envelope"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range own {
		mark, _, _ := strings.Cut(senderOf(t, path), "@")
		if _, content := kit.Marked(mark); kit.ReadFile(t, filepath.Join(filepath.Dir(path), "content")) != content {
			t.Errorf("the envelope of %s came with another content", mark)
		}
		seen[mark]++
		byShell++
	}
	for _, mark := range marks {
		if seen[mark] != 1 {
			t.Errorf("%s was taken %d times", mark, seen[mark])
		}
	}
	if len(seen) != len(marks) {
		t.Errorf("%d different messages came, %d were fed", len(seen), len(marks))
	}
	first, second := finished(couriers[0]), finished(couriers[1])
	t.Logf("of %d the shells took %d, smapd %d and %d", len(marks), byShell, first, second)
	if byShell < share || first < share || second < share {
		t.Error("somebody got next to nothing: nobody competed")
	}
}

// TestDeletedUnder deletes files of messages that smapd has: a content while its agent runs, which is delivered from the
// open file; an envelope while the agent runs, which must not come back; a content that waits for its next attempt. The
// other halves stay, for a person.
func TestDeletedUnder(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	dir := s.File("state")
	uid, gid := kit.IDs(t, kit.SmapdUser)
	s.Mkdir(dir, 0o755, uid, gid)
	agent := kit.WriteAgent(s, strings.ReplaceAll(`case $SMAP_SENDER in waits@*) exit 75 ;; esac
: >DIR/$SMAP_ID.begun
while [ ! -e DIR/go ]; do sleep 0.05; done
case $SMAP_SENDER in envelope@*) exit 75 ;; esac
cat >DIR/$SMAP_ID.content
`, "DIR", dir))
	s.Rules("smapd: log stderr", "smapd: badadmin none", "smapd: wakeup 5", "smapd: retry 5", "smapd: agent exec "+agent)
	daemon := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	feeder := kit.OwnFeeder(t, s.Spool)
	for _, mark := range []string{"content", "envelope", "waits"} {
		feeder.Pair(mark, "bob@system.test")
	}
	begun := func() bool {
		files, _ := filepath.Glob(dir + "/*.begun")
		return len(files) == 2 && s.Field("cur", "waits", "Attempts") == "1"
	}
	if !kit.Eventually(10*time.Second, begun) {
		t.Fatal("the agents were not started")
	}
	for _, path := range []string{"content.eml", "envelope.envelope", "waits.eml"} {
		if err := os.Remove(s.Path("cur", path)); err != nil {
			t.Fatal(err)
		}
	}
	s.Write(dir+"/go", "", 0o644)
	if !kit.Eventually(10*time.Second, func() bool { return strings.Contains(daemon.Log(), "finished id=content") }) {
		t.Error("the message whose content was deleted was not finished")
	}
	if _, want := kit.Marked("content"); kit.ReadFile(t, dir+"/content.content") != want {
		t.Errorf("the agent got %q", kit.ReadFile(t, dir+"/content.content"))
	}
	// Neither of the halves is delivered, removed or set aside, not by another smapd either: 36 hours are for a person.
	halves := func() bool {
		names := s.Names("cur")
		slices.Sort(names)
		return slices.Equal(names, []string{"envelope.eml", "waits.envelope"}) && s.Count("new")+s.Count("bad") == 0
	}
	if !kit.Eventually(10*time.Second, halves) {
		t.Errorf("in cur/: %v, in bad/: %v", s.Names("cur"), s.Names("bad"))
	}
	daemon.Stop()
	again := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	feeder.Pair("last", "bob@system.test")
	if !kit.Eventually(20*time.Second, func() bool { return strings.Contains(again.Log(), "finished id=last") }) {
		t.Error("the halves hold up other mail")
	}
	if !kit.Eventually(10*time.Second, halves) {
		t.Errorf("in cur/: %v, in bad/: %v", s.Names("cur"), s.Names("bad"))
	}
	log := daemon.Log() + again.Log()
	for _, event := range []string{"delivered id=envelope", "aside id=envelope", "aside id=content"} {
		if strings.Contains(log, event) {
			t.Errorf("the log says %s", event)
		}
	}
	if n := strings.Count(log, " trouble "); n != 0 {
		t.Errorf("trouble was said %d times, and it is none", n)
	}
}
