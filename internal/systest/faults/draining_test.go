//go:build system

package faults

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestFullDrains: a disk without one free block is emptied by delivering what is on it, to a program, a server and a
// Maildir elsewhere. Something else takes each block that becomes free. The messages are another user's, so that each needs a
// private copy. One has two recipients: it waits until what came of the first can be written down.
func TestFullDrains(t *testing.T) {
	t.Parallel()
	for kind, mount := range map[string]func(*kit.Site){
		"tmpfs": func(s *kit.Site) { mountMemory(s, "size=4m") },
		"ext4":  func(s *kit.Site) { mountDisk(s, 8) },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := kit.NewSite(t)
			mount(s)
			ledger, sink := kit.NewLedger(t, s, ":"), kit.NewSink(t, false)
			uid, gid := kit.IDs(t, kit.SmapdUser)
			s.Mkdir(s.File("mail"), 0o700, uid, gid)
			s.Rules("smapd: log stderr", "smapd: badadmin none", "smapd: wakeup 1", "smapd: agent smtp "+sink.Addr+" tls none",
				"smapd: lane script exec "+ledger.Program, "smapd: route script script.test",
				"smapd: lane box maildir "+s.File("mail", "Maildir"), "smapd: route box box.test")
			feeder := kit.OtherFeeder(t, s.Spool)
			const each = 10
			var script, server []string
			for i := range each {
				script, server = append(script, fmt.Sprintf("s%d", i)), append(server, fmt.Sprintf("n%d", i))
				feeder.Pair(script[i], "ann@script.test")
				feeder.Pair(server[i], "bob@server.test")
				feeder.Pair(fmt.Sprintf("b%d", i), "carl@box.test")
			}
			feeder.Pair("two", "ann@server.test", "bob@server.test")
			makeRoom := fill(s)
			kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
			left := func() (n int) {
				for _, box := range []string{"new", "cur"} {
					names, _ := filepath.Glob(s.Path(box, "*.envelope")) // the pattern is right
					n += len(names)
				}
				return n
			}
			if !kit.Eventually(25*time.Second, func() bool { return left() <= 1 }) {
				t.Errorf("of %d messages %d are left on a full disk", 3*each+1, left())
			}
			makeRoom()
			s.Drained(20 * time.Second)
			ledger.Exactly(script)
			sink.Exactly(append(server, "two"))
			if names, err := filepath.Glob(s.File("mail", "Maildir", "new", "*")); err != nil || len(names) != each {
				t.Errorf("%d messages in the Maildir, want %d: %v", len(names), each, err)
			}
			if s.Count("bad") != 0 {
				t.Errorf("in bad/: %v", s.Names("bad"))
			}
		})
	}
}
