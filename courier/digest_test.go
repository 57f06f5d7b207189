package courier

import (
	"fmt"
	"io"
	"net/mail"
	"strings"
	"testing"
	"time"

	"smap/spoolfmt"
)

func TestDigest(t *testing.T) {
	b, a := newReporter(t)
	b.cfg.Bounce, b.cfg.BadAdmin = false, "postmaster"
	var ids []string
	for range 3 {
		ids = append(ids, b.send("x\n", "a@example.com", "bad@x.test"))
	}
	b.put("new/m.eml", "x\r\n")
	b.put("new/m.envelope", "Spool-Format: 1\nSender: <>\nRecipient: <c@x.test>\nSize: 3\n\n")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	if len(a.reports) != 1 || a.reports[0].to != "postmaster@host.test" || !b.empty() {
		t.Fatalf("%d digests, %v", len(a.reports), b.names("new"))
	}
	m, err := mail.ReadMessage(strings.NewReader(a.reports[0].content))
	if err != nil {
		t.Fatal(err)
	}
	if to := m.Header.Get("To"); to != "<postmaster@host.test>" {
		t.Errorf("To: %s", to)
	}
	if s := m.Header.Get("Subject"); s != "4 messages set aside" {
		t.Errorf("Subject: %s", s)
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range append(ids, "no such user", "CR", b.path("bad"), "smapq requeue") {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}

// TestDigestRefused: a digest that cannot be delivered is set aside and is not
// the reason for another.
func TestDigestRefused(t *testing.T) {
	b, a := newReporter(t)
	a.refuse = true
	b.cfg.Bounce, b.cfg.BadAdmin = false, "postmaster"
	b.send("x\n", "a@example.com", "bad@x.test")
	for range 3 {
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.reports) != 1 || len(b.names("bad")) != 4 {
		t.Errorf("%d digests, bad %v", len(a.reports), b.names("bad"))
	}
}

// TestDigestAtStop: what was collected is not lost with the process.
func TestDigestAtStop(t *testing.T) {
	b, a := newReporter(t)
	b.cfg.Bounce, b.cfg.BadAdmin = false, "root@example.org"
	b.send("x\n", "a@example.com", "bad@x.test")
	b.run()
	b.eventually("set aside", func() bool { return b.log.count("msg=aside") == 1 })
	b.halt()
	if got := b.names("new"); len(got) != 2 {
		t.Errorf("new %v", got)
	}
	if err := b.once(); err != nil || len(a.reports) != 1 || a.reports[0].to != "root@example.org" {
		t.Errorf("%v, %d digests", err, len(a.reports))
	}
}

func TestDigestTimes(t *testing.T) {
	sp, err := spoolfmt.OpenDrainer(t.TempDir(), spoolfmt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	cfg := &Config{BadAdmin: "postmaster", Hostname: "host.test"}
	now := time.Now()
	var g digest
	for i := range maxDigest + 5 {
		g.add(now.Add(time.Duration(i)*time.Second), fmt.Sprint("id", i), "why\nnot")
	}
	if g.due != now.Add(digestAfter) || len(g.lines) != maxDigest || strings.Contains(g.lines[0], "why\nnot") {
		t.Errorf("due %v, %d lines", g.due.Sub(now), len(g.lines))
	}
	now = g.due
	if err := g.feed(sp, cfg, now); err != nil {
		t.Fatal(err)
	}
	g = digest{last: now}
	g.add(now.Add(time.Minute), "id", "why")
	if g.due != now.Add(digestEvery) {
		t.Errorf("the next one after %v", g.due.Sub(now))
	}
	later := now.Add(3 * time.Hour)
	g = digest{last: now}
	g.add(later, "id", "why")
	if g.due != later.Add(digestAfter) {
		t.Errorf("hours later after %v", g.due.Sub(later))
	}
}

// TestDigestRestored: a digest that could not be fed is sent later, with what came
// meanwhile.
func TestDigestRestored(t *testing.T) {
	now := time.Now()
	var old, g digest
	old.add(now, "one", "why")
	g.add(now, "two", "why")
	g.restore(old, now)
	if g.count != 2 || len(g.lines) != 2 || g.due != now.Add(digestAfter) || !strings.Contains(g.lines[0], "one") {
		t.Errorf("%+v", g)
	}
	if old.subject() != "1 message set aside" || g.subject() != "2 messages set aside" {
		t.Errorf("subjects %q, %q", old.subject(), g.subject())
	}
}
