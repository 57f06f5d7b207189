package courier

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// TestReportOnceMore: a crash between a report and its record repeats the
// report, once for each crash, and delivers nothing again.
func TestReportOnceMore(t *testing.T) {
	b, a := newReporter(t)
	id := b.send("x\n", "a@example.com", "bad@x.test", "good@x.test")
	d := b.attempted(id, a)
	if err := d.reportFailures(); err != nil || !d.allTold() {
		t.Fatal(d.allTold(), err)
	}
	if err := d.claim.Release(); err != nil { // as the kernel does when we die
		t.Fatal(err)
	}
	a.results["good"] = agent.Result{Outcome: agent.Failed, Text: "delivered a second time"}
	if got := b.reports(a); len(got) != 2 || !b.empty() || strings.Contains(got[1].content, "second time") {
		t.Errorf("%d reports, cur %v", len(got), b.names("cur"))
	}
}

// TestReportedOnce: a message whose end cannot be written, after its sender was
// told, stays claimed: else each look at it would tell the sender again.
func TestReportedOnce(t *testing.T) {
	b, a := newReporter(t)
	id := b.send("x\n", "a@example.com", "bad@x.test")
	d := b.attempted(id, a)
	if err := d.claim.Record(time.Time{}); err != nil {
		t.Fatal(err)
	}
	d.dirty = false
	// No rename replaces a file by a directory.
	env, kept, done := b.path("cur/"+id+".envelope"), b.path("tmp/kept"), b.path("cur/"+id+".done")
	if err := errors.Join(os.Rename(env, kept), os.Mkdir(env, 0o700), os.WriteFile(done, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if r := d.decide(); r.verdict != verdictLost {
			t.Fatalf("verdict %d, error %v", r.verdict, r.err)
		}
	}
	if new := b.names("new"); len(new) != 2 {
		t.Errorf("more or less than one report: %v", new)
	}
	if err := errors.Join(os.Remove(done), os.Remove(env), os.Rename(kept, env)); err != nil {
		t.Fatal(err)
	}
	if r := d.decide(); r.verdict != verdictFinished {
		t.Errorf("verdict %d, error %v", r.verdict, r.err)
	}
}

// TestReportFullEnvelope: a feeder that uses up all fields gets no reports. Its message
// is set aside with its outcomes.
func TestReportFullEnvelope(t *testing.T) {
	for more, want := range map[int]int{envelope.MaxFields - 10: 1, envelope.MaxFields: 0} {
		b, a := newReporter(t)
		id := b.send("x\n", "a@example.com", "bad@x.test", "fine@x.test")
		text, err := os.ReadFile(b.path("new/" + id + ".envelope"))
		if err != nil {
			t.Fatal(err)
		}
		used := b.envelope("new/" + id + ".envelope").SpareFields()
		full := strings.TrimSuffix(string(text), "\n") + strings.Repeat("X: y\n", used-(envelope.MaxFields-more)) + "\n"
		if err := os.WriteFile(b.path("new/"+id+".envelope"), []byte(full), 0o640); err != nil {
			t.Fatal(err)
		}
		if got := len(b.reports(a)); got != want {
			t.Errorf("%d fields: %d reports, want %d", more, got, want)
		}
		if want == 1 {
			continue
		}
		env := b.envelope("bad/" + id + ".envelope")
		if len(env.Pending()) != 0 || env.Get("Failed") == "" || env.Reason() == "" {
			t.Errorf("pending %v, failed %q, reason %q", env.Pending(), env.Get("Failed"), env.Reason())
		}
	}
}

// TestReportLargeEnvelope: a feeder that uses up all octets gets no reports either. Its
// message is tried again and ends.
func TestReportLargeEnvelope(t *testing.T) {
	const line = len("X-Smapd-Failed: 2026-01-02T03:04:05.000000Z\n") + len("X-Smapd-Delay: 2026-01-02T03:04:05.000000Z\n")
	for spare, want := range map[int]int{0: 0, line - 1: 0, line: 1} {
		b, a := newReporter(t)
		to := []envelope.Path{{Address: "bad@x.test"}, {Address: "wait@x.test"}}
		for i := range 500 { // fields alone are too few
			to = append(to, envelope.Path{Address: fmt.Sprintf("good%d@x.test", i)})
		}
		env, err := envelope.New(envelope.Path{Address: "a@example.com"}, to)
		if err != nil {
			t.Fatal(err)
		}
		env.SetSize(2) // as Commit does, with a checksum
		env.SetChecksum(0)
		for i := 0; ; i++ {
			name := fmt.Sprintf("X-Fill-%04d", i)
			left := envelope.MaxSize - int(env.Room()) - spare - len(name) - len(": \n")
			if left <= 0 {
				break
			}
			n := min(left, 4050)
			if rest := left - n; rest > 0 && rest < 100 {
				n -= 100 // the last field needs a name
			}
			if err := env.Set(name, strings.Repeat("x", n)); err != nil {
				t.Fatal(err)
			}
		}
		if got := envelope.MaxSize - int(env.Room()); got != spare {
			t.Fatalf("%d octets are spare, want %d", got, spare)
		}
		id := b.commit(env, "x\n")
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
		if got := b.envelope("cur/" + id + ".envelope"); len(got.Pending()) != 1 || got.Get("Attempts") != "1" {
			t.Errorf("%d spare: pending %v, %s attempts", spare, got.Pending(), got.Get("Attempts"))
		}
		if len(a.reports) != want {
			t.Errorf("%d spare: %d reports, want %d", spare, len(a.reports), want)
		}
	}
}

// TestReportNoRoom: a report that cannot be fed does not keep a message from waiting for
// its next attempt, and comes with that, once.
func TestReportNoRoom(t *testing.T) {
	for name, to := range map[string][]string{
		"all failed": {"bad@x.test"}, "one waits": {"bad@x.test", "wait@x.test"}, "one was not tried": {"bad@x.test", "wait@x.test"},
	} {
		b, a := newReporter(t)
		id := b.send("x\n", "a@example.com", to...)
		d := b.attempted(id, a)
		if name == "one was not tried" {
			delete(d.replies, "wait@x.test")
		}
		if err := d.claim.Content().Close(); err != nil { // so that no report can be written
			t.Fatal(err)
		}
		want, attempts := verdictDeferred, "1"
		if name == "one was not tried" {
			want, attempts = verdictWaits, ""
		}
		r := d.decide()
		if r.verdict != want || d.feeding == nil || len(b.names("new")) != 0 {
			t.Errorf("%s: verdict %d (%v), report %v, new %v", name, r.verdict, r.err, d.feeding, b.names("new"))
			continue
		}
		env := b.envelope("cur/" + id + ".envelope")
		if env.Get("Attempts") != attempts || env.Get(fieldFailed) != "" || want == verdictDeferred && time.Until(r.next) < 50*time.Second {
			t.Errorf("%s: %q attempts, told %q, next %v", name, env.Get("Attempts"), env.Get(fieldFailed), r.next)
		}
		delete(a.results, "wait") // the second time it is delivered
		b.due(id)
		if got := b.reports(a); len(got) != 1 || len(got[0].parse(t).rcpts) != 1 || !b.empty() {
			t.Errorf("%s: %d reports, left %v", name, len(got), b.names("cur"))
		}
	}
}

// TestReportNever: a report that cannot be fed is not tried for ever. In the end its message
// is set aside, and says that nobody was told.
func TestReportNever(t *testing.T) {
	b, a := newReporter(t)
	id := b.send("x\n", "a@example.com", "bad@x.test")
	d := b.attempted(id, a)
	d.cfg.Schedule.MaxAge = time.Microsecond
	closed, err := spoolfmt.OpenDrainer(t.TempDir(), spoolfmt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	d.spool = closed // which no report can be fed to
	if r := d.decide(); r.verdict != verdictAside {
		t.Fatalf("verdict %d: %v", r.verdict, r.err)
	}
	if env := b.envelope("bad/" + id + ".envelope"); !strings.Contains(env.Reason(), "the sender was not told: ") {
		t.Errorf("set aside: %q", env.Reason())
	}
}
