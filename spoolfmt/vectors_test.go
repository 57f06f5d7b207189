package spoolfmt

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"smap/spoolfmt/envelope"
)

const vectorDir = "../testdata/vectors"

// vector is an entry of the index: testdata/vectors/README.md.
type vector struct {
	Name       string          `json:"name"`
	Kind       string          `json:"kind"`
	Valid      *bool           `json:"valid"`
	ID         string          `json:"id"`
	File       string          `json:"file"`
	Repeat     []int           `json:"repeat"`
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
	named := map[string]bool{"index.json": true, "README.md": true}
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

// input is the vector's file, with one line repeated where it says so.
func (v vector) input(t *testing.T) []byte {
	t.Helper()
	data := vectorFile(t, v.File)
	if v.Repeat == nil {
		return data
	}
	lines := bytes.SplitAfter(data, []byte{'\n'})
	lines[v.Repeat[0]-1] = bytes.Repeat(lines[v.Repeat[0]-1], v.Repeat[1])
	return bytes.Join(lines, nil)
}

// refused demands an error that says where the input is at fault.
func refused(t *testing.T, err error) {
	t.Helper()
	var bad *envelope.ParseError
	if !errors.As(err, &bad) || bad.Line < 1 || bad.Column < 1 {
		t.Fatalf("%v, want a ParseError", err)
	}
}

func envelopeVector(t *testing.T, v vector) {
	data := v.input(t)
	e, err := envelope.Parse(data)
	if !*v.Valid {
		refused(t, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.Marshal()
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("not the same when written again (%v):\n%s", err, again)
	}
	if v.Repeat != nil {
		return
	}
	var want any
	strictly(t, v.Value, &want)
	if diff := cmp.Diff(want, jsonValue(t, e)); diff != "" {
		t.Error(diff)
	}
}

// jsonValue is the envelope's value as it comes out of JSON, where numbers have
// one type.
func jsonValue(t *testing.T, e *envelope.Envelope) any {
	t.Helper()
	data, err := json.Marshal(e.Value())
	if err != nil {
		t.Fatal(err)
	}
	var value any
	strictly(t, data, &value)
	return value
}

// vectorMissing is what the vectors' README says of time, id and host.
func vectorMissing() envelope.Missing {
	return envelope.Missing{Date: time.Date(2026, 11, 23, 20, 4, 13, 0, time.UTC), MessageID: "drop@mail.example.com"}
}

func dropVector(t *testing.T, v vector) {
	var out bytes.Buffer
	sender, recipients, err := envelope.ReadDrop(bytes.NewReader(v.input(t)), &out, vectorMissing())
	if !*v.Valid {
		refused(t, err)
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
