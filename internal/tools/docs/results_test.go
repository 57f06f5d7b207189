package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestResults holds tables of the documents against what make guests has found last: each of its rows is in the document.
// A file of results is named for its table, and often for what was tried, such as flushes-xfs.
func TestResults(t *testing.T) {
	dir := filepath.Join(root, "internal/systest/guests/results")
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatal("no results: ", err)
	}
	for _, file := range files {
		table, _, _ := strings.Cut(file.Name(), "-")
		document := map[string]string{"kernels": "SECURITY.md", "nfs": "SPOOL-FORMAT.md", "flushes": "PROOF.md"}[table]
		rows, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range absent(string(text), string(rows)) {
			t.Errorf("%s does not have the last result: %s", document, row)
		}
	}
}

// absent are the rows of a table that a document does not have.
func absent(document, rows string) []string {
	var gone []string
	for row := range strings.Lines(rows) {
		if !strings.Contains(document, row) {
			gone = append(gone, strings.TrimSpace(row))
		}
	}
	return gone
}

func TestResultsNotices(t *testing.T) {
	if gone := absent("| a | 1 |\n| b | 2 |\n", "| a | 1 |\n| b | 3 |\n"); len(gone) != 1 || gone[0] != "| b | 3 |" {
		t.Errorf("absent: %q", gone)
	}
}
