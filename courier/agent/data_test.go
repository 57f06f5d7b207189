package agent

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// A content that cannot be read to its end is not sent as if it were whole.
func TestWriteDataTrouble(t *testing.T) {
	r := io.MultiReader(strings.NewReader("x\n"), iotest.ErrReader(io.ErrClosedPipe))
	if err := writeData(bufio.NewWriter(io.Discard), r, 2); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v, want the reader's error", err)
	}
}

func contentFile(t *testing.T, content string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestWireSize(t *testing.T) {
	for content, want := range map[string]int64{
		"": 0, "a": 3, "a\n": 3, ".\n\nb": 8,
		strings.Repeat("x", 32<<10-1) + "\n": 32<<10 + 1, strings.Repeat("x", 64<<10): 64<<10 + 2,
	} {
		if got, err := wireSize(contentFile(t, content), int64(len(content))); err != nil || got != want {
			t.Errorf("%.20q: %d, %v, want %d", content, got, err, want)
		}
	}
	f := contentFile(t, "x")
	f.Close()
	if _, err := wireSize(f, 1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v, want the file's error", err)
	}
}

func TestHeaderASCII(t *testing.T) {
	for content, want := range map[string]bool{
		"": true, "A: b": true, "A: b\nC: d\n\n\xfc\n": true, "\n\x80": true,
		"A: \x80\n\nx": false, "A: b\nC: \xfc\n\nx": false, "A: b\nC: d\n\xfc": false,
	} {
		if got := headerASCII(contentFile(t, content)); got != want {
			t.Errorf("%q: %v", content, got)
		}
	}
}
