package courier

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
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
	_, body, _ := strings.Cut(c.content, "\n\n")
	checkEncoding(t, m.Header.Get("Content-Transfer-Encoding"), body)
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
		checkEncoding(t, part.Header.Get("Content-Transfer-Encoding"), string(body))
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

// checkEncoding compares what a part says of its octets with them.
func checkEncoding(t *testing.T, says, body string) {
	t.Helper()
	want := "8bit"
	if ascii(body) {
		want = "7bit"
	}
	if says != want {
		t.Errorf("Content-Transfer-Encoding %q, want %q: %q", says, want, body)
	}
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
