package envelope

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const vectorDir = "../../testdata/vectors"

// vectorSeeds adds the inputs of all vectors of a kind to a fuzz target.
func vectorSeeds(f *testing.F, kind string) {
	f.Helper()
	data, err := os.ReadFile(filepath.Join(vectorDir, "index.json"))
	if err != nil {
		f.Fatal(err)
	}
	var index []struct{ Kind, ID, File string }
	if err := json.Unmarshal(data, &index); err != nil {
		f.Fatal(err)
	}
	for _, v := range index {
		if v.Kind != kind {
			continue
		}
		if kind == "id" {
			f.Add([]byte(v.ID))
			continue
		}
		seed, err := os.ReadFile(filepath.Join(vectorDir, v.File))
		if err != nil {
			f.Fatal(err)
		}
		if len(seed) < 8<<10 {
			f.Add(seed)
		}
	}
}

// FuzzEnvelope: what parses is written again octet for octet, and what does
// not leaves nothing.
func FuzzEnvelope(f *testing.F) {
	vectorSeeds(f, "envelope")
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Parse(data)
		if err != nil {
			if e != nil {
				t.Fatal("an envelope beside an error")
			}
			return
		}
		again, err := e.Marshal()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%v: %q became %q", err, data, again)
		}
		for _, r := range e.Recipients() {
			if CheckAddress(r.Address) != nil || CheckRecipientParams(r.Params) != nil {
				t.Fatalf("recipient %v", r)
			}
		}
		for _, line := range bytes.Split(data, []byte("\n")) {
			if bytes.ContainsAny(line, "\x00\r\t\x7f") {
				t.Fatalf("control character in %q", line)
			}
		}
	})
}

// FuzzPath: what parses is the path that String writes, and every address that
// comes out of it satisfies the grammar and is not dangerous.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"<>", "<a@b> X=1 Y", `<"a>b"@c>`, "<a@[1.2.3.4]>", "<-x>", `<"\-x"@y>`, "<ä@ö>", "<a@b> X= "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		p, err := ParsePath(value)
		if err != nil {
			return
		}
		if p.String() != value {
			t.Fatalf("%q became %q", value, p.String())
		}
		plain := strings.ToLower(UnquoteLocal(p.Address))
		for _, d := range []string{"-", "|", "/", ":include:"} {
			if strings.HasPrefix(plain, d) {
				t.Fatalf("%q is dangerous", p.Address)
			}
		}
		if local, domain := SplitAddress(p.Address); domain != "" && local+"@"+domain != p.Address {
			t.Fatalf("%q split into %q, %q", p.Address, local, domain)
		}
	})
}

// FuzzID: an id can be a name, and is never a path or a name in a box.
func FuzzID(f *testing.F) {
	vectorSeeds(f, "id")
	f.Fuzz(func(t *testing.T, data []byte) {
		id := string(data)
		if CheckID(id) != nil {
			return
		}
		if filepath.Base(id) != id || strings.HasPrefix(id, ".") || strings.HasPrefix(id, "-") {
			t.Fatalf("id %q", id)
		}
		for _, suffix := range []string{ContentSuffix, EnvelopeSuffix, DropSuffix} {
			if CheckID(id+suffix) == nil {
				t.Fatalf("%q is an id, and a name in a box", id+suffix)
			}
		}
	})
}
