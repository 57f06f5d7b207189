package courier

import (
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt/envelope"
)

// TestToldAhead: a feeder says that failures were reported until the end of all time. Its
// message is delivered once all the same, and later failures are reported.
func TestToldAhead(t *testing.T) {
	for _, told := range []string{"9999-12-31T23:59:59.999999Z", "9999-01-01T00:00:00.000000Z", "9998-12-31T23:59:59.999999Z"} {
		b, a := newReporter(t)
		env, err := envelope.New(envelope.Path{Address: "a@example.com"}, []envelope.Path{{Address: "good@x.test"}, {Address: "bad@x.test"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := env.Set(fieldFailed, told); err != nil {
			t.Fatal(err)
		}
		b.commit(env, "x\n")
		if got := b.reports(a); len(got) != 1 || !b.empty() || len(b.names("bad")) != 0 || b.log.count("msg=delivered") != 2 {
			t.Errorf("%s: %d reports, %d delivered, left %v", told, len(got), b.log.count("msg=delivered"), b.names("cur"))
		}
	}
}

// TestOutcomeNotTaken: an outcome that the envelope does not take is no attempt. It is kept
// and tried again, and the message is not delivered again.
func TestOutcomeNotTaken(t *testing.T) {
	b, a := newReporter(t)
	id := b.send("x\n", "a@example.com", "wait@x.test")
	d := b.attempted(id, a)
	never := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	d.note(d.first, "wait@x.test", agent.Result{Outcome: agent.Delivered}, never)
	d.note(d.first, "nobody@x.test", agent.Result{Outcome: agent.Delivered}, time.Now())
	for range 2 {
		if r := d.decide(); r.verdict != verdictLost || r.err == nil {
			t.Fatalf("verdict %d, error %v", r.verdict, r.err)
		}
	}
	if len(d.env.Pending()) != 0 || len(d.refused) != 1 {
		t.Fatalf("pending %v, refused %v", d.env.Pending(), d.refused)
	}
	d.refused = nil // as if the envelope took it
	if r := d.decide(); r.verdict != verdictFinished {
		t.Errorf("verdict %d, error %v", r.verdict, r.err)
	}
}
