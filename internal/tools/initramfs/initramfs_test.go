package initramfs

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
)

// read is a naive reader of what the kernel's document describes: names, modes and contents.
func read(t *testing.T, b []byte) map[string]string {
	t.Helper()
	found := map[string]string{}
	number := func(at int) int {
		n, err := strconv.ParseUint(string(b[at:at+8]), 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	up := func(n int) int { return (n + 3) / 4 * 4 }
	for {
		if len(b) < 110 || string(b[:6]) != "070701" {
			t.Fatalf("no header: %q", b[:min(len(b), 20)])
		}
		mode, size, nameSize := number(14), number(54), number(94)
		name := strings.TrimSuffix(string(b[110:110+nameSize]), "\x00")
		if name == "TRAILER!!!" {
			return found
		}
		at := up(110 + nameSize)
		found[name] = strconv.FormatUint(uint64(mode), 8) + " " + string(b[at:at+size])
		b = b[up(at+size):]
	}
}

func TestArchive(t *testing.T) {
	var b bytes.Buffer
	a := NewWriter(&b)
	a.File("/init", 0o755, []byte("x"))
	a.File("a/b/c", 0o644, []byte("12345"))
	a.Device("dev/console", 5, 1)
	a.Dir("a")
	a.Symlink("sbin", "usr/sbin")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	found := read(t, b.Bytes())
	want := map[string]string{"init": "100755 x", "a": "40755 ", "a/b": "40755 ", "a/b/c": "100644 12345", "dev": "40755 ", "dev/console": "20600 ", "sbin": "120777 usr/sbin"}
	if len(found) != len(want) {
		t.Errorf("found %q", found)
	}
	for name, what := range want {
		if found[name] != what {
			t.Errorf("%s is %q, want %q", name, found[name], what)
		}
	}
}
