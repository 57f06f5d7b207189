package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurity: each test that SECURITY.md names for a claim exists.
func TestSecurity(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(code, -1) {
			tests[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, m := range regexp.MustCompile(`\[((?:Test|Fuzz)[^\]]*)\]`).FindAllStringSubmatch(string(text), -1) {
		for name := range strings.FieldsFuncSeq(m[1], func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
			named++
			test, script, ok := strings.Cut(name, "/")
			if !tests[test] {
				t.Errorf("SECURITY.md names %s, which does not exist", name)
			}
			if _, err := os.Stat(filepath.Join(root, "testdata/script", script+".txtar")); ok && err != nil {
				t.Errorf("SECURITY.md names %s: %v", name, err)
			}
		}
	}
	if named < 35 {
		t.Errorf("SECURITY.md names %d tests", named)
	}
}
