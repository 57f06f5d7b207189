package spoolfmt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"smap/spoolfmt/envelope"
)

// TestReadersAgree has this reader and the one in Python, which was written from
// the document alone, read the same few thousand mutated envelopes and drops: the
// verdicts must be the same, and all that was read. What we
// say of each becomes the index of a directory of vectors, for the other to run.
func TestReadersAgree(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3; make test installs it when it can")
	}
	dir := t.TempDir()
	index, valid := mutatedVectors(t, dir)
	if out, err := runVectors(t, dir, index); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	t.Logf("%d files, %d of them valid", len(index), valid)
	if valid < len(index)/10 || valid > len(index)*9/10 {
		t.Errorf("%d of %d mutated files are valid: they test one half of the readers", valid, len(index))
	}
	// And a verdict that is wrong is seen.
	index[0]["valid"] = index[0]["valid"] == false
	if out, err := runVectors(t, dir, index[:1]); err == nil {
		t.Errorf("a wrong verdict passed: %s", out)
	}
}

func runVectors(t *testing.T, dir string, index []map[string]any) (string, error) {
	t.Helper()
	data, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("python3", "../contrib/python/spoolfmt.py", "vectors", dir).CombinedOutput()
	return string(out), err
}

// mutatedVectors writes files that the vectors become by one to three changes,
// and what this package says of each.
func mutatedVectors(t *testing.T, dir string) (index []map[string]any, valid int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2)) // the same at every run
	x := newTestSpool(t)
	var all []vector
	if err := json.Unmarshal(vectorFile(t, "index.json"), &all); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.Kind != "envelope" && v.Kind != "mail" {
			continue
		}
		seed := vectorFile(t, v.File)
		if len(seed) > 4<<10 {
			continue // the limits have vectors of their own
		}
		count := 5
		if *v.Valid {
			count = 30 // or most would be malformed for the seed's own reason
		}
		for range count {
			data := seed
			for range 1 + random.IntN(3) {
				data = mutated(random, data)
			}
			name := fmt.Sprintf("%04d-%s", len(index), v.Name)
			entry := map[string]any{"name": fmt.Sprintf("%s %q", name, data), "kind": v.Kind, "file": name}
			write := func(name string, data []byte) {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(name, data)
			if v.Kind == "envelope" {
				describeEnvelope(t, entry, data)
			} else if content := x.describeDrop(entry, data); content != nil {
				entry["content"] = name + ".content"
				write(name+".content", content)
			}
			if entry["valid"] == nil {
				continue
			}
			if entry["valid"] == true {
				valid++
			}
			index = append(index, entry)
		}
	}
	return index, valid
}

func describeEnvelope(t *testing.T, entry map[string]any, data []byte) {
	t.Helper()
	e, err := envelope.Parse(data)
	entry["valid"] = err == nil
	if err != nil {
		return
	}
	// JSON's numbers, and the form that the vectors give times, cannot say all
	// that an envelope can.
	exact := e.Size() < 1<<53
	for _, r := range e.Recipients() {
		exact = exact && (r.Outcome == nil || strings.Contains(string(data), envelope.FormatTime(r.Outcome.Time)))
	}
	if exact {
		entry["value"] = jsonValue(t, e)
	} else {
		delete(entry, "valid")
	}
}

// describeDrop returns the content that a drop becomes, nil when it is malformed.
func (x *testSpool) describeDrop(entry map[string]any, data []byte) []byte {
	x.t.Helper()
	d, err := x.NewDraft()
	if err != nil {
		x.t.Fatal(err)
	}
	defer func() {
		if err := d.Abort(); err != nil {
			x.t.Error(err)
		}
	}()
	sender, recipients, err := envelope.ReadDrop(bytes.NewReader(data), d, vectorMissing())
	if entry["valid"] = err == nil; err != nil {
		return nil
	}
	d.flush()
	var to []string
	for _, p := range recipients {
		to = append(to, p.Address)
	}
	entry["sender"], entry["recipients"] = sender.Address, to
	content := []byte(x.read("tmp/" + d.name))
	return append([]byte{}, content...)
}

// tokens are what means something somewhere in an envelope or a header.
func tokens() []string {
	return []string{":", ": ", " ", "\n", "\n\n", "\r", "\x00", "\t", "<", ">", "<>", `"`, `\`, "@", "[", "]", "(", ")", ",", ";", ".", "=", "+", "-",
		"Z", "0", "9", "ä", "\xff", "\xc2\x85", "\u2028", "Sender: <>\n", "Recipient: <x@y.test>\n", "Size: 1\n", "To: a@b.test\n", "Bcc: c@d.test\n",
		"Resent-To: e@f.test\n", "Delivered: <b@example.org> 2026-01-02T03:04:05.000000Z ok\n", "X-Unknown: y\n", "[1.2.3.4]", "[IPv6:::1]", " NOTIFY=NEVER", " BODY=8BITMIME"}
}

// mutated makes one change: of an octet, a token, a line, or the length.
func mutated(random *rand.Rand, data []byte) []byte {
	at := random.IntN(len(data) + 1)
	words := tokens()
	lines := strings.SplitAfter(string(data), "\n")
	line := random.IntN(len(lines))
	switch random.IntN(8) {
	case 0: // an octet becomes another
		if at < len(data) {
			return slices.Concat(data[:at], []byte{byte(random.UintN(256))}, data[at+1:])
		}
	case 1: // or upper case lower case
		if at < len(data) {
			return slices.Concat(data[:at], []byte{data[at] ^ 0x20}, data[at+1:])
		}
	case 2: // a part goes
		end := min(len(data), at+1+random.IntN(4))
		return slices.Concat(data[:at], data[end:])
	case 3, 4:
		return slices.Concat(data[:at], []byte(words[random.IntN(len(words))]), data[at:])
	case 5: // a line is repeated
		lines[line] += lines[line]
		return []byte(strings.Join(lines, ""))
	case 6: // or changes places
		other := random.IntN(len(lines))
		lines[line], lines[other] = lines[other], lines[line]
		return []byte(strings.Join(lines, ""))
	case 7:
		return data[:at]
	}
	return data
}
