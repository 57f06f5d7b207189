package spoolfmt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"smap/internal/crash"
)

// The records are of smap, smapd and smapq, made by the system test
// TestCrashRecords, which runs this test again on fresh ones: CRASH_RECORDS
// names their directory, CRASH_STATES says how many states to make after each
// operation.
const crashRecords = "../internal/crash/testdata"

// TestCrashStates makes states that a power cut could leave, lets a drainer
// recover from each, and compares what it delivers with what had been answered.
func TestCrashStates(t *testing.T) {
	dir, perCut := crashRecords, max(6, statesPerCut())
	if d := os.Getenv("CRASH_RECORDS"); d != "" {
		dir = d
	}
	records, err := filepath.Glob(filepath.Join(dir, "*.strace"))
	if err != nil || len(records) == 0 {
		t.Fatalf("no records in %s: %v", dir, err)
	}
	for _, record := range records {
		t.Run(filepath.Base(record), func(t *testing.T) {
			t.Parallel()
			ops := readRecord(t, record)
			n, err := crash.States(ops, perCut, 1, func(s crash.State) error { return recoverState(t, ops, s) })
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d operations, %d states", len(ops), n)
			if len(ops) < 50 || n < 1000 {
				t.Errorf("that is no record of a session")
			}
		})
	}
}

// statesPerCut is how many states the caller wants after each operation, 0 where it
// did not say.
func statesPerCut() int {
	n, err := strconv.Atoi(os.Getenv("CRASH_STATES"))
	if err != nil {
		return 0
	}
	return n
}

func readRecord(t *testing.T, path string) []crash.Op {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ops, err := crash.Read(f, "/var/tmp/crash-record/spool")
	if err != nil {
		t.Fatal(err)
	}
	if err := answersPlaced(ops); err != nil {
		t.Fatal(err)
	}
	return ops
}

// answersPlaced refuses a record whose answers do not tell which message they are for.
func answersPlaced(ops []crash.Op) error {
	waiting := 0
	for k, o := range ops {
		_, kind := SplitName(filepath.Base(o.To))
		switch {
		case o.Kind == crash.Move && strings.HasPrefix(o.To, "new/") && kind == KindEnvelope:
			waiting++
		case o.Kind == crash.Say && acceptedReply.Match(o.Data):
			if waiting != 1 && len(acceptedReply.FindSubmatch(o.Data)[1]) == 0 {
				return fmt.Errorf("operation %d answers without an id, and %d messages wait for an answer", k, waiting)
			}
			waiting--
		}
	}
	return nil
}

func TestAnswersPlaced(t *testing.T) {
	feed := func(id string) crash.Op { return crash.Op{Kind: crash.Move, To: "new/" + id + ".envelope"} }
	say := func(text string) crash.Op { return crash.Op{Kind: crash.Say, Data: []byte(text)} }
	const one, two = "20261129T173941.010082Z-dkcb7s0h3r5a4anr", "20261129T173941.010690Z-fs16ka84ge3xszne"
	for _, c := range []struct {
		ops  []crash.Op
		fine bool
	}{
		{[]crash.Op{feed(one), say("250 Mail accepted\r\n"), feed(two), say("250 Mail accepted\r\n")}, true},
		{[]crash.Op{feed(one), feed(two), say("250 2.0.0 Mail accepted, id " + two + "\r\n"), say("250 Mail accepted\r\n")}, true},
		{[]crash.Op{feed(one), feed(two), say("250 Mail accepted\r\n"), say("250 Mail accepted\r\n")}, false},
	} {
		if err := answersPlaced(c.ops); (err == nil) != c.fine {
			t.Errorf("%v: %v", c.ops, err)
		}
	}
}

// TestCrashStatesFindDefects plants a defect into each record, and wants it
// found: otherwise the test above proves nothing.
func TestCrashStatesFindDefects(t *testing.T) {
	ops := readRecord(t, filepath.Join(crashRecords, "session.strace"))
	isNew := func(o crash.Op) bool { return o.Kind == crash.SyncDir && o.Path == "new" }
	file := func(box, suffix string) func(crash.Op) bool {
		return func(o crash.Op) bool {
			return o.Kind == crash.SyncFile && strings.HasPrefix(o.Path, box) && strings.HasSuffix(o.Path, suffix)
		}
	}
	without := func(drop func(crash.Op) bool) []crash.Op {
		var out []crash.Op
		for _, o := range ops {
			if !drop(o) {
				out = append(out, o)
			}
		}
		return out
	}
	// swapped moves the envelope to new before the content.
	swapped := func() []crash.Op {
		out := append([]crash.Op(nil), ops...)
		for i := range len(out) - 1 {
			if out[i].Kind == crash.Move && strings.HasPrefix(out[i].To, "new/") && strings.HasSuffix(out[i].To, ".eml") {
				out[i], out[i+1] = out[i+1], out[i]
			}
		}
		return out
	}
	early := func() []crash.Op { // the answer before the sync
		out := append([]crash.Op(nil), ops...)
		for i := len(out) - 1; i > 0; i-- {
			if out[i].Kind == crash.Say && out[i-1].Kind == crash.SyncDir {
				out[i], out[i-1] = out[i-1], out[i]
			}
		}
		return out
	}
	for name, planted := range map[string][]crash.Op{
		"new is not synced":              without(isNew),
		"contents are not synced":        without(file("new/", ".eml")),
		"envelopes are not synced":       without(file("new/", ".envelope")),
		"records are not synced":         without(file("tmp/", ".record")),
		"contents have no checksum":      withoutChecksum(ops),
		"bad is not synced":              without(func(o crash.Op) bool { return o.Kind == crash.SyncDir && o.Path == "bad" }),
		"cur is not synced":              without(func(o crash.Op) bool { return o.Kind == crash.SyncDir && o.Path == "cur" }),
		"the envelope is visible first":  swapped(),
		"the answer comes before a sync": early(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(planted) == len(ops) && fmt.Sprint(planted) == fmt.Sprint(ops) {
				t.Fatal("nothing was planted")
			}
			if n, err := crash.States(planted, 24, 1, func(s crash.State) error { return recoverState(t, planted, s) }); err == nil {
				t.Errorf("not found in %d states", n)
			}
		})
	}
}

// withoutChecksum has feeders write envelopes without CRC32C: a drainer cannot tell
// then that a content holds other octets.
func withoutChecksum(ops []crash.Op) []crash.Op {
	field := regexp.MustCompile(`(?m)^CRC32C: .*\n`)
	out := append([]crash.Op(nil), ops...)
	for i, o := range out {
		if o.Kind == crash.Write && strings.HasSuffix(o.Path, ".envelope") {
			out[i].Data = field.ReplaceAll(o.Data, nil)
		}
	}
	return out
}

// TestCrashStatesFindSharedSync leaves out the sync that several commits share.
func TestCrashStatesFindSharedSync(t *testing.T) {
	var planted []crash.Op
	shared := 0
	for _, o := range readRecord(t, filepath.Join(crashRecords, "together.strace")) {
		if o.Kind == crash.SyncAll {
			shared++
		} else {
			planted = append(planted, o)
		}
	}
	if shared == 0 {
		t.Fatal("no sync was shared")
	}
	if n, err := crash.States(planted, 24, 1, func(s crash.State) error { return recoverState(t, planted, s) }); err == nil {
		t.Errorf("not found in %d states", n)
	}
}

// A fate is what is known of one message at a cut.
type fate struct {
	content string
	told    bool // the client was told that it is accepted
	gone    bool // its envelope became .done: it was delivered
	aside   bool // it was being set aside
}

// acceptedReply names its message where several sessions run at once.
var acceptedReply = regexp.MustCompile(`(?m)^250 .*[Mm]ail accepted(?:, id (\S+))?`)

// fates follows the record up to the cut.
func fates(ops []crash.Op, s crash.State) map[string]*fate {
	all := map[string]*fate{}
	var order []string
	content := map[string]string{}
	answers := 0
	for k, o := range ops {
		id, kind := SplitName(filepath.Base(o.To))
		switch {
		case o.Kind == crash.Create:
			content[o.Path] = ""
		case o.Kind == crash.Write:
			content[o.Path] += string(o.Data)
		case o.Kind == crash.Move:
			content[o.To] = content[o.Path]
		}
		if k >= s.After {
			continue
		}
		switch {
		case o.Kind == crash.Say && acceptedReply.Match(o.Data):
			if id := string(acceptedReply.FindSubmatch(o.Data)[1]); id != "" {
				all[id].told = true
				continue
			}
			all[order[answers]].told = true
			answers++
		case o.Kind == crash.Move && strings.HasPrefix(o.To, "new/") && kind == KindEnvelope:
			order = append(order, id)
			all[id] = &fate{content: content["new/"+id+".eml"]}
		case o.Kind == crash.Link && strings.HasPrefix(o.To, "bad/"):
			all[id].aside = true
		}
	}
	for _, e := range s.Gone {
		id, _ := SplitName(filepath.Base(e))
		all[id].gone = true
	}
	return all
}

// stateDir makes a directory for a state, where nothing has to be durable.
func stateDir(t *testing.T) (string, error) {
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = t.TempDir()
	}
	return os.MkdirTemp(parent, "crash-")
}

// recoverState runs a drainer on one state until nothing is left to do.
func recoverState(t *testing.T, ops []crash.Op, s crash.State) error {
	dir, err := stateDir(t)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the test's directory goes anyway
	if err := s.Make(dir); err != nil {
		return err
	}
	sp, err := OpenDrainer(dir, Options{})
	if err != nil {
		return err
	}
	clock := sp.now()
	sp.now = func() time.Time { return clock }
	sp.sys.fsync = func(int) error { return nil }
	delivered := map[string][]string{}
	sweeper := sp.NewSweeper()
	for range 8 {
		for _, id := range idsIn(sp) {
			c, err := sp.Claim(id)
			if err != nil {
				continue // every state that should pass; what does not is found below
			}
			var bad *MalformedError
			if err := c.Load(); errors.As(err, &bad) {
				err = c.SetAside(bad.Error())
				if err != nil {
					return err
				}
				continue
			} else if err != nil {
				return fmt.Errorf("load %s: %w", id, err)
			}
			b := make([]byte, c.Envelope().Size())
			if _, err := c.Content().ReadAt(b, 0); err != nil && len(b) > 0 {
				return err
			}
			delivered[id] = append(delivered[id], string(b))
			if err := c.Finish(); err != nil {
				return err
			}
		}
		if err := sp.Flush(); err != nil {
			return err
		}
		if empty(sp) {
			break
		}
		clock = clock.Add(Orphaned)
		if err := sweeper.Sweep(t.Context(), clock); err != nil {
			return err
		}
	}
	if err := sp.Close(); err != nil {
		return err
	}
	return judge(dir, fates(ops, s), delivered)
}

func empty(sp *Spool) bool {
	n := 0
	for _, b := range []Box{Tmp, New, Cur} {
		_ = sp.Scan(b, func(Entry) error { n++; return nil }) // judge looks again
	}
	return n == 0
}

func idsIn(sp *Spool) []string {
	seen := map[string]bool{}
	var ids []string
	for _, b := range []Box{New, Cur} {
		_ = sp.Scan(b, func(e Entry) error { // a box that cannot be read shows as a loss
			if e.ID != "" && !seen[e.ID] {
				seen[e.ID] = true
				ids = append(ids, e.ID)
			}
			return nil
		})
	}
	return ids
}

// judge compares what became of each message with what may have.
func judge(dir string, all map[string]*fate, delivered map[string][]string) error {
	for _, b := range []string{"tmp", "new", "cur"} {
		left, err := os.ReadDir(filepath.Join(dir, b))
		if err != nil || len(left) > 0 {
			return fmt.Errorf("%v left in %s: %w", left, b, err)
		}
	}
	for id, got := range delivered {
		f := all[id]
		if f == nil || len(got) > 1 || got[0] != f.content {
			return fmt.Errorf("%s delivered %d times, as %q", id, len(got), got)
		}
	}
	for id, f := range all {
		_, cerr := os.Stat(filepath.Join(dir, "bad", id+".eml"))
		_, eerr := os.Stat(filepath.Join(dir, "bad", id+".envelope"))
		aside := cerr == nil && eerr == nil
		n := len(delivered[id])
		switch {
		case aside && n > 0:
			return fmt.Errorf("%s was delivered and is in bad", id)
		case eerr == nil && cerr != nil && f.told:
			return fmt.Errorf("%s is in bad without its content", id)
		case aside && !f.aside && f.told: // one that nobody was told of may be torn
			return fmt.Errorf("%s is in bad, and nobody set it aside before the cut", id)
		case f.told && !f.gone && n == 0 && !aside:
			return fmt.Errorf("%s is lost, and was answered for", id)
		}
	}
	return nil
}
