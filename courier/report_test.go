package courier

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// A reporter is an agent that keeps the reports which come to it, and for all
// other mail does as the local part says.
type reporter struct {
	mu      sync.Mutex
	reports []caught
	results map[string]agent.Result // by local part; others are delivered
	refuse  bool                    // refuses reports too
}

// caught is a report as a person's mailbox gets it.
type caught struct {
	id, to  string
	from    envelope.Path
	content string
}

func (a *reporter) Name() string       { return "test" }
func (a *reporter) MaxRecipients() int { return 0 }
func (a *reporter) Close() error       { return nil }

func (a *reporter) Deliver(_ context.Context, job *agent.Job) ([]agent.Result, error) {
	if job.Sender.Address == "" {
		data, err := io.ReadAll(io.NewSectionReader(job.Content, 0, job.Size))
		if err != nil {
			return nil, err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.reports = append(a.reports, caught{job.ID, job.Recipients[0].Address, job.Sender, string(data)})
		if a.refuse {
			return job.Same(agent.Result{Outcome: agent.Failed, Text: "no such sender"}), nil
		}
		return job.Same(agent.Result{Outcome: agent.Delivered}), nil
	}
	out := job.Same(agent.Result{Outcome: agent.Delivered, Text: "ok"})
	for i, to := range job.Recipients {
		local, _ := envelope.SplitAddress(to.Address)
		if r, ok := a.results[local]; ok {
			out[i] = r
		}
	}
	return out, nil
}

// A parsed is a report taken apart by libraries that we did not write.
type parsed struct {
	header   mail.Header
	words    string
	message  textproto.MIMEHeader
	rcpts    []textproto.MIMEHeader
	kinds    []string
	returned string
}

func (c caught) parse(t *testing.T) parsed {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(c.content))
	if err != nil {
		t.Fatalf("%v\n%s", err, c.content)
	}
	for _, name := range []string{"From", "To"} {
		if _, err := m.Header.AddressList(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("Content-Type %q %v: %v", kind, params, err)
	}
	p := parsed{header: m.Header}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, c.content)
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		switch p.kinds = append(p.kinds, kind); len(p.kinds) {
		case 1:
			p.words = string(body)
		case 2:
			p.fields(t, body)
		case 3:
			p.returned = string(body)
		}
	}
	if len(p.kinds) != 3 {
		t.Fatalf("parts %v\n%s", p.kinds, c.content)
	}
	return p
}

// fields reads the blocks of the part for programs.
func (p *parsed) fields(t *testing.T, body []byte) {
	t.Helper()
	r := textproto.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(body), strings.NewReader("\n\n"))))
	for {
		h, err := r.ReadMIMEHeader()
		if len(h) == 0 {
			return
		}
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("%v in %q", err, body)
		}
		if p.message == nil {
			p.message = h
		} else {
			p.rcpts = append(p.rcpts, h)
		}
	}
}

func params(list ...string) []envelope.Param {
	var out []envelope.Param
	for _, s := range list {
		k, v, has := strings.Cut(s, "=")
		out = append(out, envelope.Param{Keyword: k, Value: v, HasValue: has})
	}
	return out
}

// send commits a message with these paths, as "address PARAM=x ...".
func (b *bench) send(content, from string, rcpts ...string) string {
	b.t.Helper()
	path := func(s string) envelope.Path {
		words := strings.Fields(s)
		if len(words) == 0 || strings.Contains(words[0], "=") && !strings.Contains(words[0], "@") {
			return envelope.Path{Params: params(words...)}
		}
		return envelope.Path{Address: words[0], Params: params(words[1:]...)}
	}
	var to []envelope.Path
	for _, r := range rcpts {
		to = append(to, path(r))
	}
	env, err := envelope.New(path(from), to)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.commit(env, content)
}

// reports runs the courier until nothing is left to do, and returns what came
// to the senders.
func (b *bench) reports(a *reporter) []caught {
	b.t.Helper()
	if err := b.once(); err != nil {
		b.t.Fatal(err)
	}
	return a.reports
}

func newReporter(t *testing.T) (*bench, *reporter) {
	a := &reporter{results: map[string]agent.Result{
		"bad":  {Outcome: agent.Failed, Text: "RCPT: 550 5.1.1 no such user", Status: "5.1.1", Remote: "mx.test", Reply: "550 5.1.1 no such user"},
		"exit": {Outcome: agent.Failed, Text: "exit 67 (EX_NOUSER): gone", Status: "5.1.1"},
		"wait": {Text: "450 4.2.0 later", Remote: "mx.test"},
	}}
	b := newBench(t, a)
	b.cfg.Bounce, b.cfg.Hostname = true, "host.test"
	return b, a
}

// attempted is a delivery whose agent has answered, and of which nothing was
// concluded yet.
func (b *bench) attempted(id string, a agent.Agent) *delivery {
	t := b.t
	t.Helper()
	b.cfg.Log = events{}.log
	cfg, err := b.cfg.complete()
	if err != nil {
		t.Fatal(err)
	}
	d := cfg.delivery(b.feed, id+".envelope")
	if err := d.take(); err != nil {
		t.Fatal(err)
	}
	if err := d.claim.Load(); err != nil {
		t.Fatal(err)
	}
	d.env = d.claim.Envelope()
	d.first.agent = a
	d.runParts(t.Context())
	return d
}

// delivery is one for the default lane, of a message in new.
func (c *Config) delivery(sp *spoolfmt.Spool, name string) *delivery {
	disp := newDispatcher()
	disp.configure(c)
	it := item{name: name}
	s := start{lane: disp.lanes[0], item: it}
	d := newDelivery(c, events{c.Log}, sp, s, newPart(s.lane, it))
	d.begin, d.keyers = time.Now(), disp.keyers
	d.tell, d.held, d.replaced = func(*part) {}, func(error) {}, func() bool { return false }
	return d
}

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
	_, status, _ := strings.Cut(got[0].content, "message/delivery-status")
	status, _, _ = strings.Cut(status, "message/rfc822")
	if !ascii(status) || !strings.Contains(status, "kein Empf?nger") {
		t.Errorf("%q", status)
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
	done := b.path("cur/" + id + ".done")
	if err := os.Mkdir(done, 0o700); err != nil { // which a rename does not replace
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
	if err := os.Remove(done); err != nil {
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
