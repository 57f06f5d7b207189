//go:build system && guests

package guests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// result keeps rows of a table in results, where a test compares the documents with them.
func result(t *testing.T, name string, rows ...string) {
	t.Helper()
	if err := os.MkdirAll("results", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("results", name), []byte(strings.Join(rows, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
