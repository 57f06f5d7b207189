package receiver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestAttacks replays testdata/attacks: historic attacks on mail servers, in the
// form of TestDialogues. The comment of each begins with what it is, where it is
// described, what it did then, and what becomes of it now; SECURITY.md has these
// four in its table.
func TestAttacks(t *testing.T) {
	files, err := filepath.Glob("../testdata/attacks/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d attacks: %v", len(files), err)
	}
	security, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		row := attackRow(t, archive)
		if !strings.Contains(string(security), "\n"+row+"\n") {
			t.Errorf("SECURITY.md has no line\n%s", row)
		}
		rows++
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			got := play(t, archive)
			if *update {
				if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(archive)), string(txtar.Format(got))); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
	if _, table, _ := strings.Cut(string(security), "| attack | described in | then | now |\n| --- | --- | --- | --- |\n"); strings.Count(strings.SplitN(table, "\n\n", 2)[0]+"\n", "|\n") != rows {
		t.Errorf("SECURITY.md's table does not have %d rows", rows)
	}
}

// attackRow is an attack's row in SECURITY.md.
func attackRow(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	lines := strings.Split(string(a.Comment), "\n")
	cells := []string{""}
	for i, begin := range []string{"# ", "# source: ", "# then: ", "# now: "} {
		text, ok := strings.CutPrefix(lines[i], begin)
		if !ok {
			t.Fatalf("%q does not begin with %q", lines[i], begin)
		}
		cells = append(cells, " "+text+" ")
	}
	return strings.Join(append(cells, ""), "|")
}
