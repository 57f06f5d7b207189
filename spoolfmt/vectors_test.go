package spoolfmt

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

const vectorDir = "../testdata/vectors"

// vector is an entry of the index: SPOOL-FORMAT.md, section 15.
type vector struct {
	Name       string          `json:"name"`
	Kind       string          `json:"kind"`
	Valid      *bool           `json:"valid"`
	ID         string          `json:"id"`
	File       string          `json:"file"`
	Line       int             `json:"line"`
	Value      json.RawMessage `json:"value"`
	Sender     string          `json:"sender"`
	Recipients []string        `json:"recipients"`
	Content    string          `json:"content"`
	Why        string          `json:"why"`
}

// strictly decodes JSON in which every key is known.
func strictly(t *testing.T, data []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func vectorFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectorDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestVectors(t *testing.T) {
	var index []vector
	strictly(t, vectorFile(t, "index.json"), &index)
	if len(index) < 80 {
		t.Fatalf("only %d vectors", len(index))
	}
	run := map[string]func(*testing.T, vector){"id": idVector, "envelope": envelopeVector, "mail": dropVector, "tree": treeVector}
	named := map[string]bool{"index.json": true}
	for _, v := range index {
		named[v.File], named[v.Content] = true, true
		t.Run(v.Name, func(t *testing.T) {
			f := run[v.Kind]
			if f == nil {
				t.Fatalf("kind %q", v.Kind)
			}
			f(t, v)
		})
	}
	err := filepath.WalkDir(vectorDir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if rel, err := filepath.Rel(vectorDir, path); err != nil || !named[rel] {
			t.Errorf("%s is in no vector", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func idVector(t *testing.T, v vector) {
	if err := envelope.CheckID(v.ID); (err == nil) != *v.Valid {
		t.Errorf("%q: %v", v.ID, err)
	}
}

// wrong compares an error with the line where the vector says it is.
func wrong(t *testing.T, v vector, err error) {
	t.Helper()
	var bad *envelope.ParseError
	if !errors.As(err, &bad) {
		t.Fatalf("%v, want a ParseError", err)
	}
	if v.Line != 0 && bad.Line != v.Line {
		t.Errorf("%v, want line %d", err, v.Line)
	}
}

func envelopeVector(t *testing.T, v vector) {
	data := vectorFile(t, v.File)
	e, err := envelope.Parse(data)
	if !*v.Valid {
		wrong(t, v, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.Marshal()
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("not the same when written again (%v):\n%s", err, again)
	}
	var want any
	strictly(t, v.Value, &want)
	if diff := cmp.Diff(want, jsonValue(t, e)); diff != "" {
		t.Error(diff)
	}
}

// jsonValue is the envelope in the form of SPOOL-FORMAT.md 5.6.
func jsonValue(t *testing.T, e *envelope.Envelope) any {
	t.Helper()
	params := func(p envelope.Path) []any {
		list := []any{}
		for _, x := range p.Params {
			var value any
			if x.HasValue {
				value = x.Value
			}
			list = append(list, []any{x.Keyword, value})
		}
		return list
	}
	var recipients []any
	for _, r := range e.Recipients() {
		var outcome any
		if r.Outcome != nil {
			outcome = map[string]any{"status": r.Outcome.Status.String(), "time": envelope.FormatTime(r.Outcome.Time), "text": r.Outcome.Text}
		}
		recipients = append(recipients, map[string]any{"address": r.Address, "params": params(r.Path), "outcome": outcome})
	}
	var fields []any
	for _, f := range e.Fields() {
		fields = append(fields, []any{f.Name, f.Value})
	}
	// Through JSON once, so that numbers have one type.
	data, err := json.Marshal(map[string]any{
		"format":     1,
		"sender":     map[string]any{"address": e.Sender().Address, "params": params(e.Sender())},
		"recipients": recipients, "size": e.Size(), "fields": fields,
	})
	if err != nil {
		t.Fatal(err)
	}
	var value any
	strictly(t, data, &value)
	return value
}

func dropVector(t *testing.T, v vector) {
	var out bytes.Buffer
	sender, recipients, err := envelope.ReadDrop(bytes.NewReader(vectorFile(t, v.File)), &out, envelope.Missing{})
	if !*v.Valid {
		v.Line = 0 // with two faults, either may be named
		wrong(t, v, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range recipients {
		got = append(got, p.Address)
	}
	if sender.Address != v.Sender || !cmp.Equal(got, v.Recipients) {
		t.Errorf("sender %q, recipients %q; want %q, %q", sender.Address, got, v.Sender, v.Recipients)
	}
	if want := vectorFile(t, v.Content); !bytes.Equal(out.Bytes(), want) {
		t.Errorf("content %q, want %q", out.Bytes(), want)
	}
}

type treeFile struct {
	Before, After []treeEntry
	Delivered     []treeMessage
	Minutes       int
}

type treeEntry struct {
	Path   string  `json:"path"`
	Type   string  `json:"type"`
	Text   *string `json:"text"`
	Base64 string  `json:"base64"`
	To     string  `json:"to"`
	SameAs string  `json:"same_as"`
	Hours  int     `json:"hours"`
}

type treeMessage struct {
	Sender     string   `json:"sender"`
	Recipients []string `json:"recipients"`
	Content    string   `json:"content"`
}

func treeVector(t *testing.T, v vector) {
	for _, repair := range []bool{false, true} {
		treeDrained(t, v, repair)
	}
}

// treeDrained drains a tree, as it is or after a check has mended what it
// could: the outcome must be the same.
func treeDrained(t *testing.T, v vector, repair bool) {
	var tree treeFile
	strictly(t, vectorFile(t, v.File), &tree)
	x := newTestSpool(t)
	hours := 0
	for _, e := range tree.Before {
		x.make(e)
		hours = max(hours, e.Hours)
	}
	x.pass(time.Duration(hours) * time.Hour)
	if repair {
		x.repair()
	}
	got := x.drainAll()
	if tree.Minutes > 0 {
		x.pass(time.Duration(tree.Minutes) * time.Minute)
		got = append(got, x.drainAll()...)
	}
	order := func(m []treeMessage) {
		sort.Slice(m, func(i, j int) bool { return m[i].Sender+m[i].Content < m[j].Sender+m[j].Content })
	}
	order(got)
	order(tree.Delivered)
	if len(got)+len(tree.Delivered) > 0 && !cmp.Equal(got, tree.Delivered) {
		t.Errorf("delivered %q, want %q", got, tree.Delivered)
	}
	x.compare(tree.After)
}

// repair mends what a check finds and what can be mended at the first look.
func (x *testSpool) repair() {
	x.t.Helper()
	_, all := x.check()
	for i := range all {
		err := all[i].Mend(x.Spool)
		for _, pass := range []error{nil, errors.ErrUnsupported, ErrBusy, ErrAlone, ErrLinked, ErrBlocked} {
			if err == nil || pass != nil && errors.Is(err, pass) {
				err = nil
				break
			}
		}
		if err != nil {
			x.t.Errorf("mend %v: %v", &all[i], err)
		}
	}
}

func (x *testSpool) make(e treeEntry) {
	x.t.Helper()
	path := filepath.Join(x.dir, e.Path)
	var err error
	switch {
	case e.SameAs != "":
		err = os.Link(filepath.Join(x.dir, e.SameAs), path)
	case e.Type == "dir":
		err = os.Mkdir(path, 0o755)
	case e.Type == "fifo":
		err = unix.Mkfifo(path, 0o644)
	case e.Type == "symlink":
		err = os.Symlink(e.To, path)
	case e.Base64 != "":
		var data []byte
		if data, err = base64.StdEncoding.DecodeString(e.Base64); err == nil {
			err = os.WriteFile(path, data, 0o640)
		}
	default:
		text := ""
		if e.Text != nil {
			text = *e.Text
		}
		err = os.WriteFile(path, []byte(text), 0o640)
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// drainAll is a drainer whose agent accepts everything, run until nothing is
// left to do.
func (x *testSpool) drainAll() []treeMessage {
	x.t.Helper()
	var got []treeMessage
	for before := []string(nil); ; {
		if err := x.NewSweeper().Sweep(context.Background(), x.clock); err != nil {
			x.t.Fatal(err)
		}
		for _, name := range x.names() {
			box, file, _ := strings.Cut(name, "/")
			id, kind := SplitName(file)
			switch {
			case box == "new" && kind == KindDrop:
				got = x.take(got)(x.ClaimDrop(file))
			case box == "cur" && kind == KindDrop:
				got = x.take(got)(x.RecoverDrop(file))
			case (box == "new" || box == "cur") && kind == KindEnvelope:
				got = x.take(got)(x.Claim(id))
			}
		}
		if err := x.Flush(); err != nil {
			x.t.Fatal(err)
		}
		after := x.names()
		if cmp.Equal(before, after) {
			return got
		}
		before = after
	}
}

func (x *testSpool) take(got []treeMessage) func(*Claim, error) []treeMessage {
	return func(c *Claim, err error) []treeMessage {
		x.t.Helper()
		for _, pass := range []error{ErrBusy, ErrGone, ErrBlocked, ErrLinked, ErrAlone} {
			if errors.Is(err, pass) {
				return got
			}
		}
		var bad *MalformedError
		if errors.As(err, &bad) { // a drop, in bad already
			return got
		}
		if err != nil {
			x.t.Fatal(err)
		}
		if err := c.Load(); err != nil {
			if !errors.As(err, &bad) {
				x.t.Fatal(err)
			}
			if err := c.SetAside(bad.Error()); err != nil {
				x.t.Fatal(err)
			}
			return got
		}
		if pending := c.Envelope().Pending(); len(pending) > 0 {
			m := treeMessage{Sender: c.Envelope().Sender().Address}
			for _, p := range pending {
				m.Recipients = append(m.Recipients, p.Address)
			}
			content, err := io.ReadAll(io.NewSectionReader(c.Content(), 0, 1<<30))
			if err != nil {
				x.t.Fatal(err)
			}
			m.Content = withoutAdded(string(content))
			got = append(got, m)
		}
		if err := c.Finish(); err != nil {
			x.t.Fatal(err)
		}
		return got
	}
}

// withoutAdded leaves out the fields that a drop got because it lacked them: no
// vector can know them.
func withoutAdded(content string) string {
	added := regexp.MustCompile(`\nDate: \w+, \d+ \w+ \d+ [0-9:]+ \+0000\nMessage-ID: <[\w.]+(-\w+)?@[\w.-]+>\n`)
	return added.ReplaceAllString(content, "\n")
}

// compare matches what is left with the vector's list.
func (x *testSpool) compare(after []treeEntry) {
	x.t.Helper()
	left := x.names()
	for _, e := range after {
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(e.Path), `\*`, ".+") + "$"
		found := -1
		for i, name := range left {
			if ok, err := regexp.MatchString(pattern, name); err != nil {
				x.t.Fatal(err)
			} else if ok {
				found = i
				break
			}
		}
		if found < 0 {
			x.t.Errorf("%s is not there, but %q", e.Path, left)
			continue
		}
		name := left[found]
		left = append(left[:found:found], left[found+1:]...)
		st, err := os.Lstat(filepath.Join(x.dir, name))
		if err != nil {
			x.t.Fatal(err)
		}
		types := map[os.FileMode]string{0: "", os.ModeDir: "dir", os.ModeNamedPipe: "fifo", os.ModeSymlink: "symlink"}
		if got := types[st.Mode().Type()]; got != e.Type && (got != "" || e.Type != "file") {
			x.t.Errorf("%s is a %q, want %q", name, got, e.Type)
		}
		if e.Text != nil && x.read(name) != *e.Text {
			x.t.Errorf("%s has another text: %q", name, x.read(name))
		}
	}
	if len(left) > 0 {
		x.t.Errorf("left: %q", left)
	}
}
