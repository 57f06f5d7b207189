package courier

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// agentFunc is an agent in this process.
type agentFunc func(ctx context.Context, job *agent.Job) ([]agent.Result, error)

func (f agentFunc) Name() string       { return "test" }
func (f agentFunc) MaxRecipients() int { return 0 }
func (f agentFunc) Close() error       { return nil }
func (f agentFunc) Deliver(ctx context.Context, job *agent.Job) ([]agent.Result, error) {
	return f(ctx, job)
}

// logged collects a log.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// A bench is a spool with a courier on it.
type bench struct {
	t    *testing.T
	dir  string
	cfg  Config
	log  *logged
	feed *spoolfmt.Spool
	c    *Courier
	stop func()
}

func newBench(t *testing.T, a agent.Agent) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, dir: dir, log: &logged{}}
	b.cfg = Config{Dir: dir, Agent: a, Log: slog.New(slog.NewTextHandler(b.log, nil)), StopGrace: 200 * time.Millisecond}
	b.reopen()
	t.Cleanup(func() {
		b.halt()
		_ = b.feed.Close()
		if t.Failed() {
			t.Log(b.log.String())
		}
	})
	return b
}

// reopen opens the spool for feeding: its directory is another one now.
func (b *bench) reopen() {
	b.t.Helper()
	var err error
	if b.feed, err = spoolfmt.OpenDrainer(b.dir, spoolfmt.Options{}); err != nil {
		b.t.Fatal(err)
	}
}

// run starts the courier.
func (b *bench) run() {
	b.t.Helper()
	c, err := New(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.c = c
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	}
}

func (b *bench) halt() {
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
}

// once runs the courier until there is nothing left to do now.
func (b *bench) once() error {
	b.t.Helper()
	cfg := b.cfg
	cfg.Once = true
	c, err := New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return c.Run(context.Background())
}

// message commits a message and returns its id.
func (b *bench) message(content string, rcpts ...string) string {
	b.t.Helper()
	if len(rcpts) == 0 {
		rcpts = []string{"b@example.org"}
	}
	var to []envelope.Path
	for _, r := range rcpts {
		to = append(to, envelope.Path{Address: r})
	}
	env, err := envelope.New(envelope.Path{Address: "a@example.com"}, to)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.commit(env, content)
}

func (b *bench) commit(env *envelope.Envelope, content string) string {
	b.t.Helper()
	d, err := b.feed.NewDraft()
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := d.Write([]byte(content)); err != nil {
		b.t.Fatal(err)
	}
	if err := d.Commit(env); err != nil {
		b.t.Fatal(err)
	}
	return d.ID()
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// put writes a file as a shell would, with no regard for the protocol.
func (b *bench) put(name, content string) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(content), 0o640); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) exists(name string) bool {
	_, err := os.Lstat(b.path(name))
	return err == nil
}

func (b *bench) names(box string) []string {
	b.t.Helper()
	entries, err := os.ReadDir(b.path(box))
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func (b *bench) envelope(name string) *envelope.Envelope {
	b.t.Helper()
	data, err := os.ReadFile(b.path(name))
	if err != nil {
		b.t.Fatal(err)
	}
	e, err := envelope.Parse(data)
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", name, err, data)
	}
	return e
}

// due makes a deferred message due, if it is there.
func (b *bench) due(id string) {
	b.t.Helper()
	past := time.Now().Add(-time.Second)
	if err := os.Chtimes(b.path("cur/"+id+".envelope"), past, past); err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
}

// nothing waits for a time in which nothing may happen; why says what could, and so how
// long is long enough.
func (b *bench) nothing(d time.Duration, why string) {
	b.t.Helper()
	if why == "" {
		b.t.Fatal("a wait needs a reason")
	}
	time.Sleep(d)
}

// eventually waits for something that another goroutine does.
func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	b.t.Fatalf("not in time: %s\nnew %v\ncur %v\nbad %v", what, b.names("new"), b.names("cur"), b.names("bad"))
}

// empty tells whether nothing is left in new and cur.
func (b *bench) empty() bool { return len(b.names("new")) == 0 && len(b.names("cur")) == 0 }

// all gives every recipient the same result.
func all(r agent.Result) agentFunc {
	return func(_ context.Context, job *agent.Job) ([]agent.Result, error) { return job.Same(r), nil }
}

// A tally counts deliveries by what the content says.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *tally) Deliver(_ context.Context, job *agent.Job) ([]agent.Result, error) {
	if _, err := job.Content.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(job.Content)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = make(map[string]int)
	}
	t.n[string(data)]++
	return job.Same(agent.Result{Outcome: agent.Delivered, Text: "ok"}), nil
}

func (t *tally) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.n)
}
