package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// hard are the phrases that made our texts sound translated, each with what to write instead.
var hard = []struct {
	phrase  *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?i)\bstands? (there|twice|in a|in the|for itself)\b`), `"is", "appears", "is repeated"`},
	{regexp.MustCompile(`(?i)\bmakes? way\b`), `"execs" or "starts"`},
	{regexp.MustCompile(`\bWho (may|can|has|is|does|feeds|reads)\b`), `"Anyone who", or name the program or person`},
	{regexp.MustCompile(`(?i)\bwho may\b`), `"that can", "allowed"`},
	{regexp.MustCompile(`(?i)\bso (often|many|much) (as|times|of)?\b[^|]*\bas\b`), `"every n seconds", "at most n"`},
	{regexp.MustCompile(`(?i)\bso often\b`), `"every n seconds"`},
	{regexp.MustCompile(`(?i)\bin plain\b($|[^ ]| [^E])`), `"plaintext", "without TLS"`},
	{regexp.MustCompile(`(?i)\bso far\b`), `"until now"`},
	{regexp.MustCompile(`(?i)\b(he|she|his|her|himself)\b`), `"they", or the role`},
	{regexp.MustCompile(`(?i)\bsays? in the log\b`), `"logs"`},
	{regexp.MustCompile(`(?i)\bis wanted\b|\bis to be had\b|\bhas to be there\b`), `"takes", "needs", "expected"`},
	{regexp.MustCompile(`(?i)\bgoes on without\b`), `"skips"`},
	{regexp.MustCompile(`(?i)\bas it were\b|\bmeanwhile come\b|\bhow(ever)? often it\b`), `something shorter`},
}

// phrases are the lines of a text that have a hard phrase, each with its number.
func phrases(text string) []string {
	var found []string
	number := 0
	for line := range strings.Lines(text) {
		number++
		if strings.HasPrefix(line, "#") {
			continue // a heading can be a question
		}
		for _, h := range hard {
			if m := h.phrase.FindString(line); m != "" {
				found = append(found, fmt.Sprintf("%d: %q; write %s", number, m, h.instead))
			}
		}
	}
	return found
}

// messages are the string constants of a Go file, each at the line where it is.
func messages(name string) (string, error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	var lines []string
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		at := set.Position(lit.Pos()).Line
		for len(lines) < at {
			lines = append(lines, "")
		}
		if text, err := strconv.Unquote(lit.Value); err == nil {
			lines[at-1] += " " + strings.ReplaceAll(text, "\n", " ")
		}
		return true
	})
	return strings.Join(lines, "\n"), nil
}

// TestEnglish: no document, manual or message has a phrase of the list.
func TestEnglish(t *testing.T) {
	looked := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == ".git" || name == "bin" || name == "build" || name == "testdata" || name == "internal/systest" {
				return fs.SkipDir
			}
			return nil
		}
		var text string
		switch {
		case strings.HasSuffix(name, ".md"), strings.HasPrefix(name, "man/"):
			b, rerr := os.ReadFile(path)
			text, err = string(b), rerr
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			text, err = messages(path)
		default:
			return nil
		}
		looked++
		for _, p := range phrases(text) {
			t.Errorf("%s:%s", name, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 100 {
		t.Errorf("only %d files were looked at", looked)
	}
}

// TestEnglishNotices plants a phrase of each kind, and sentences that are right.
func TestEnglishNotices(t *testing.T) {
	for _, text := range []string{"parameter SIZE stands there twice", "smap makes way for it", "Who may feed may send.",
		"said once, however often it is met", "one value is wanted", "sent in plain", "as he likes", "none so far"} {
		if len(phrases(text)) == 0 {
			t.Errorf("%q was not noticed", text)
		}
	}
	for _, text := range []string{"The header is there.", "in plain English", "Anyone who can feed can send mail."} {
		if found := phrases(text); len(found) > 0 {
			t.Errorf("%q: %q", text, found)
		}
	}
	text, err := messages("english_test.go")
	if err != nil || len(phrases(text)) == 0 {
		t.Errorf("no phrase in the messages of this file: %v", err)
	}
}
