package courier

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"strings"
	"testing"
	"time"

	"smap/courier/agent"
)

func TestFailureReport(t *testing.T) {
	b, a := newReporter(t)
	const content = "From: a@example.com\nSubject: hello\n\nThe body.\n.\n--x\n"
	id := b.send(content, "a@example.com ENVID=x+2By RET=FULL", "bad@example.org ORCPT=rfc822;Bad+2Bx@example.org",
		"good@example.org", "exit@example.org")
	got := b.reports(a)
	if len(got) != 1 || !b.empty() || len(b.names("bad")) != 0 {
		t.Fatalf("%d reports; bad %v", len(got), b.names("bad"))
	}
	if got[0].to != "a@example.com" {
		t.Errorf("to %s", got[0].to)
	}
	p := got[0].parse(t)
	if p.header.Get("Auto-Submitted") != "auto-replied" || p.header.Get("To") != "<a@example.com>" || p.header.Get("Message-Id") == "" {
		t.Errorf("header %v", p.header)
	}
	if p.kinds[0] != "text/plain" || p.kinds[1] != "message/delivery-status" || p.kinds[2] != "message/rfc822" {
		t.Errorf("parts %v", p.kinds)
	}
	for _, want := range []string{"<bad@example.org>", "no such user", "<exit@example.org>", id} {
		if !strings.Contains(p.words, want) {
			t.Errorf("no %q in %q", want, p.words)
		}
	}
	if strings.Contains(p.words, "good@") || p.returned != content {
		t.Errorf("words %q, returned %q", p.words, p.returned)
	}
	if p.message.Get("Reporting-MTA") != "dns; host.test" || p.message.Get("Original-Envelope-Id") != "x+y" {
		t.Errorf("%v", p.message)
	}
	if _, err := mail.ParseDate(p.message.Get("Arrival-Date")); err != nil {
		t.Error(err)
	}
	want := []map[string]string{
		{"Original-Recipient": "rfc822; Bad+x@example.org", "Final-Recipient": "rfc822; bad@example.org", "Action": "failed",
			"Status": "5.1.1", "Remote-MTA": "dns; mx.test", "Diagnostic-Code": "smtp; 550 5.1.1 no such user"},
		{"Original-Recipient": "", "Final-Recipient": "rfc822; exit@example.org", "Action": "failed", "Status": "5.1.1",
			"Remote-MTA": "", "Diagnostic-Code": "x-unix; 5.1.1 exit 67 (EX_NOUSER): gone"},
	}
	if len(p.rcpts) != len(want) {
		t.Fatalf("%v", p.rcpts)
	}
	for i := range want {
		for k, v := range want[i] {
			if got := p.rcpts[i].Get(k); got != v {
				t.Errorf("recipient %d: %s is %q, want %q", i, k, got, v)
			}
		}
	}
	if b.log.count("msg=reported") != 1 || b.log.count("kind=failure") != 1 {
		t.Error("log")
	}
}

// TestReportsAsked holds NOTIFY against what is reported and what a person gets.
func TestReportsAsked(t *testing.T) {
	for _, c := range []struct {
		rcpts   []string
		reports []string // what the report's recipients are
		aside   bool     // nobody was told, so a person has to care
	}{
		{[]string{"bad@x.test"}, []string{"bad@x.test"}, false},
		{[]string{"bad@x.test NOTIFY=NEVER"}, nil, true},
		{[]string{"bad@x.test NOTIFY=SUCCESS"}, nil, true},
		{[]string{"bad@x.test NOTIFY=success,failure"}, []string{"bad@x.test"}, false},
		{[]string{"bad@x.test", "exit@x.test NOTIFY=NEVER"}, []string{"bad@x.test"}, true},
		{[]string{"good@x.test"}, nil, false},
		{[]string{"good@x.test NOTIFY=SUCCESS"}, []string{"good@x.test"}, false},
		{[]string{"good@x.test NOTIFY=FAILURE,DELAY"}, nil, false},
		{[]string{"wait@x.test NOTIFY=DELAY"}, nil, false}, // not old enough
	} {
		b, a := newReporter(t)
		id := b.send("x\n", "a@example.com", c.rcpts...)
		var to []string
		for _, r := range b.reports(a) {
			for _, f := range r.parse(t).rcpts {
				to = append(to, strings.TrimPrefix(f.Get("Final-Recipient"), "rfc822; "))
			}
		}
		if fmt.Sprint(to) != fmt.Sprint(c.reports) || b.exists("bad/"+id+".envelope") != c.aside {
			t.Errorf("%v: reports of %v, bad %v", c.rcpts, to, b.names("bad"))
		}
	}
}

// TestNeverBounced: no report about mail with the null sender, none where
// bounce is off, none about a report; so there is no loop.
func TestNeverBounced(t *testing.T) {
	b, a := newReporter(t)
	b.send("x\n", "", "bad@x.test")
	if got := b.reports(a); len(got) != 1 || !strings.Contains(got[0].content, "x\n") || len(b.names("bad")) != 0 {
		// The reporter takes everything with the null sender: this is the
		// message itself.
		t.Errorf("%v", got)
	}
	b, a = newReporter(t)
	a.refuse = true
	b.cfg.BadAdmin = "postmaster"
	b.send("x\n", "a@example.com", "bad@x.test")
	if got := b.reports(a); len(got) != 1 || len(b.names("bad")) != 2 || !b.empty() {
		t.Errorf("%d reports, bad %v", len(got), b.names("bad"))
	}
	if b.log.count("msg=reported") != 1 {
		t.Error("a report was reported")
	}
	b, a = newReporter(t)
	b.cfg.Bounce = false
	b.send("x\n", "a@example.com", "bad@x.test NOTIFY=FAILURE", "good@x.test NOTIFY=SUCCESS")
	if got := b.reports(a); len(got) != 0 || len(b.names("bad")) != 2 {
		t.Errorf("%d reports, bad %v", len(got), b.names("bad"))
	}
}

func TestReturned(t *testing.T) {
	small := "Subject: s\n\nbody\n"
	large := "Subject: s\n\n" + strings.Repeat("x\n", 100<<10)
	for _, c := range []struct {
		ret, content, kind, want string
	}{
		{"", small, "message/rfc822", small},
		{"", large, "text/rfc822-headers", "Subject: s\n"},
		{"RET=FULL", large, "message/rfc822", large},
		{"RET=hdrs", small, "text/rfc822-headers", "Subject: s\n"},
		{"RET=HDRS", "no header at all", "text/rfc822-headers", "no header at all"},
		{"RET=HDRS", "Subject: only\n", "text/rfc822-headers", "Subject: only\n"},
		{"RET=HDRS", "", "text/rfc822-headers", ""},
		{"RET=HDRS", "S: " + strings.Repeat("x", 64<<10), "text/rfc822-headers", "S: " + strings.Repeat("x", 64<<10-3)},
	} {
		b, a := newReporter(t)
		b.send(c.content, "a@example.com "+c.ret, "bad@x.test")
		got := b.reports(a)
		if len(got) != 1 {
			t.Fatalf("%d reports", len(got))
		}
		p := got[0].parse(t)
		if p.kinds[2] != c.kind || p.returned != c.want {
			t.Errorf("%s %.20q: %s %.40q", c.ret, c.content, p.kinds[2], p.returned)
		}
	}
}

// TestReportUTF8: RFC 6533's types where an address is not ASCII, and ASCII
// alone everywhere else.
func TestReportUTF8(t *testing.T) {
	b, a := newReporter(t)
	a.results["bäd"] = a.results["bad"]
	b.send("x\n", "ä@example.com SMTPUTF8", "bäd@x.test ORCPT=utf-8;bäd@y.test")
	got := b.reports(a)
	if len(got) != 1 || got[0].to != "ä@example.com" {
		t.Fatalf("%v", got)
	}
	if _, ok := got[0].from.Param("SMTPUTF8"); !ok {
		t.Error("the report's envelope does not say SMTPUTF8")
	}
	p := got[0].parse(t)
	if p.kinds[1] != "message/global-delivery-status" || p.kinds[2] != "message/global" {
		t.Errorf("parts %v", p.kinds)
	}
	if p.rcpts[0].Get("Final-Recipient") != "utf-8; bäd@x.test" || p.rcpts[0].Get("Original-Recipient") != "utf-8; bäd@y.test" {
		t.Errorf("%v", p.rcpts)
	}

	b, a = newReporter(t)
	a.results["bad"] = agent.Result{Outcome: agent.Failed, Text: "kein Empfänger", Remote: "mx.test"}
	b.send("x\n", "a@example.com ENVID=+C3+A4", "bad@x.test ORCPT=rfc822;+C3+A4@x.test")
	got = b.reports(a)
	got[0].parse(t)
	_, status, _ := strings.Cut(got[0].content, "message/delivery-status")
	status, _, _ = strings.Cut(status, "message/rfc822")
	if !ascii(status) || !strings.Contains(status, "kein Empf?nger") {
		t.Errorf("%q", status)
	}

	b, a = newReporter(t)
	b.send("Subject: x\n\nGrüße\n", "a@example.com RET=FULL", "bad@x.test")
	if p := b.reports(a)[0].parse(t); !strings.Contains(p.returned, "Grüße") {
		t.Errorf("returned %q", p.returned)
	}
}

// TestReportInjection: nothing that a stranger wrote can add a field, a part or
// a line to a report.
func TestReportInjection(t *testing.T) {
	b, a := newReporter(t)
	a.results["bad"] = agent.Result{Outcome: agent.Failed, Text: "no\n\n--x\nStatus: 2.0.0\r\nEvil: 1", Status: "5.0.0", Remote: "mx\nEvil: 1"}
	b.send("x\n", "a@example.com ENVID=x+0D+0AEvil:+201", "bad@x.test ORCPT=rfc822;y+0AEvil:+201")
	got := b.reports(a)
	if len(got) != 1 {
		t.Fatal(len(got))
	}
	p := got[0].parse(t)
	for _, h := range append(p.rcpts, p.message) {
		if h.Get("Evil") != "" || len(h["Status"]) > 1 {
			t.Errorf("%v", h)
		}
	}
	if len(p.rcpts) != 1 {
		t.Errorf("%v", p.rcpts)
	}
}

// TestDelayReport: once, after four hours, and only where it is asked for.
func TestDelayReport(t *testing.T) {
	b, a := newReporter(t)
	id := b.send("x\n", "a@example.com", "wait@x.test NOTIFY=DELAY", "exit@x.test NOTIFY=DELAY", "bad@x.test")
	old := time.Now().Add(-5 * time.Hour)
	if err := os.Chtimes(b.path("new/"+id+".eml"), old, old); err != nil {
		t.Fatal(err)
	}
	a.results["exit"] = a.results["wait"]
	for range 3 {
		b.reports(a)
		b.due(id)
	}
	var delays []parsed
	for _, r := range a.reports {
		if p := r.parse(t); p.rcpts[0].Get("Action") == "delayed" {
			delays = append(delays, p)
		}
	}
	if len(delays) != 1 || len(a.reports) != 2 {
		t.Fatalf("%d reports, %d of a delay", len(a.reports), len(delays))
	}
	p := delays[0]
	if len(p.rcpts) != 2 || p.kinds[2] != "text/rfc822-headers" {
		t.Errorf("%v %v", p.rcpts, p.kinds)
	}
	if until, err := mail.ParseDate(p.rcpts[0].Get("Will-Retry-Until")); err != nil || until.Before(time.Now().Add(4*24*time.Hour)) {
		t.Errorf("until %v %v", until, err)
	}
	// It goes on, and is delivered in the end. The failure is not reported again.
	delete(a.results, "wait")
	delete(a.results, "exit")
	b.due(id)
	b.reports(a)
	if len(a.reports) != 2 || !b.empty() {
		t.Errorf("%d reports, cur %v", len(a.reports), b.names("cur"))
	}
}

// TestDelayUnreached: a sender hears of a delay also while the agent cannot be reached,
// before its gate is shut and after that; once.
func TestDelayUnreached(t *testing.T) {
	t.Parallel()
	for _, messages := range []int{1, 5} {
		b, a := newReporter(t)
		b.cfg.BounceAgent = a
		b.cfg.Agent = agentFunc(func(context.Context, *agent.Job) ([]agent.Result, error) {
			return nil, &agent.StartError{Agent: "test", Err: errors.New("535 wrong password")}
		})
		b.cfg.Wakeup = 50 * time.Millisecond
		old := time.Now().Add(-5 * time.Hour)
		for range messages {
			id := b.send("x\n", "a@example.com", "b@x.test NOTIFY=DELAY")
			if err := os.Chtimes(b.path("new/"+id+".eml"), old, old); err != nil {
				t.Fatal(err)
			}
		}
		b.run()
		b.eventually("reported", func() bool { return b.log.count("kind=delay") == messages && b.log.count("msg=finished") == messages })
		for range 3 {
			b.c.Rescan()
			b.nothing(100*time.Millisecond, "two looks at the age of all messages")
		}
		b.halt()
		if len(a.reports) != messages {
			t.Errorf("%d reports for %d messages", len(a.reports), messages)
		}
		for _, r := range a.reports {
			if p := r.parse(t); p.rcpts[0].Get("Action") != "delayed" || !strings.Contains(p.words, "535 wrong password") {
				t.Errorf("%v %q", p.rcpts, p.words)
			}
		}
	}
}

// TestFailureAtOnce: a permanent failure is reported at the attempt that met it, and
// once, though another recipient waits.
func TestFailureAtOnce(t *testing.T) {
	b, a := newReporter(t)
	id := b.send("x\n", "a@example.com", "bad@x.test", "wait@x.test")
	if got := b.reports(a); len(got) != 1 || got[0].parse(t).rcpts[0].Get("Final-Recipient") != "rfc822; bad@x.test" {
		t.Fatalf("%d reports after the first attempt", len(got))
	}
	b.due(id)
	if got := b.reports(a); len(got) != 1 {
		t.Errorf("%d reports after the second", len(got))
	}
	delete(a.results, "wait")
	a.results["wait"] = agent.Result{Outcome: agent.Failed, Text: "550 no"}
	b.due(id)
	got := b.reports(a)
	if len(got) != 2 || !b.empty() || len(b.names("bad")) != 0 {
		t.Fatalf("%d reports, cur %v, bad %v", len(got), b.names("cur"), b.names("bad"))
	}
	if p := got[1].parse(t); len(p.rcpts) != 1 || p.rcpts[0].Get("Final-Recipient") != "rfc822; wait@x.test" {
		t.Errorf("the second report: %v", p.rcpts)
	}
}

// TestExpiredReport: who was told that it failed does not get it any more,
// whatever happens afterwards.
func TestExpiredReport(t *testing.T) {
	b, a := newReporter(t)
	b.cfg.Schedule = Schedule{Retry: []time.Duration{time.Hour}, MaxAge: time.Hour}
	id := b.send("x\n", "a@example.com", "wait@x.test", "good@x.test", "bad@x.test NOTIFY=NEVER")
	old := time.Now().Add(-5 * time.Hour)
	if err := os.Chtimes(b.path("new/"+id+".eml"), old, old); err != nil {
		t.Fatal(err)
	}
	got := b.reports(a)
	if len(got) != 1 {
		t.Fatal(len(got))
	}
	p := got[0].parse(t)
	if len(p.rcpts) != 1 || p.rcpts[0].Get("Status") != "4.4.7" || p.rcpts[0].Get("Action") != "failed" {
		t.Errorf("%v", p.rcpts)
	}
	e := b.envelope("bad/" + id + ".envelope") // for the one who wants no report
	if len(e.Pending()) != 0 {
		t.Errorf("pending %v", e.Pending())
	}
}
