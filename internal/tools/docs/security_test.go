package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// unheld are the paragraphs, list items and tables of SECURITY.md that no test holds: they name none, and for a table or
// a numbered list the paragraph before it does not either. Sections that claim nothing are left out.
func unheld(text string) []string {
	var found []string
	// What an attacker can still do is no promise, and of other systems the page says that nothing runs there.
	claimless := []string{"Reporting", "What an attacker who owns smap can still do", "Other systems"}
	test := regexp.MustCompile(`\[(Test|Fuzz)`)
	introduced := regexp.MustCompile(`^(\||[0-9]+\. |\* Only )`)
	text = regexp.MustCompile(`\n(\* |[0-9]+\. )`).ReplaceAllString(text, "\n\n$1")
	text = regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(text, "\n$0\n")
	section, before := "", ""
	for block := range strings.SplitSeq(text, "\n\n") {
		block = strings.TrimSpace(block)
		switch {
		case strings.HasPrefix(block, "#"):
			section, before = strings.Trim(block, "# "), ""
		case block == "" || slices.Contains(claimless, section) || test.MatchString(block):
		case introduced.MatchString(block) && test.MatchString(before):
		default:
			found = append(found, section+": "+strings.SplitN(block, "\n", 2)[0])
		}
		if block != "" && !introduced.MatchString(block) {
			before = block
		}
	}
	return found
}

// TestSecurityIsHeld: every claim of SECURITY.md has a test.
func TestSecurityIsHeld(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, claim := range unheld(string(text)) {
		t.Errorf("SECURITY.md: no test is named for this: %s", claim)
	}
}

func TestSecurityIsHeldNotices(t *testing.T) {
	got := unheld("# A\n\nOne [TestA].\n\n* two [TestB]\n* three\n\n## B\n\n| a table |\n\nFour [TestC]:\n\n| a table |\n\n1. a\n2. b\n\nFive.\n\n## Reporting\n\nSix.\n")
	want := []string{"A: * three", "B: | a table |", "B: Five."}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
