package addrlist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestContains(t *testing.T) {
	long := strings.Repeat("l", 64) + "@" + strings.Repeat("d", 190) + ".example"
	file := "First@Example.com\n" +
		"#commented@example.com\n" +
		"\n" +
		"crlf@example.com\r\n" +
		"blank@example.com   \n" +
		"postfix@example.com OK\n" +
		"tab@example.com\tOK\n" +
		" indented@example.com\n" +
		"a@b\n" +
		"aaaaaaaaaaaaaaaaaaaa@example.com\n" +
		"\"quoted part\"@example.com\n" +
		"grün@example.com\n" +
		"tag+x@example.com\n" +
		"kelvin@example.com\n" +
		long + "\n" +
		"last@example.com"
	for address, want := range map[string]bool{
		"First@Example.com": true, "first@example.com": true, "FIRST@EXAMPLE.COM": true,
		"irst@example.com": false, "first@example.co": false, "first@example.comm": false, "xfirst@example.com": false,
		"#commented@example.com": false, "commented@example.com": false,
		"crlf@example.com": true, "blank@example.com": true, "postfix@example.com": true, "tab@example.com": true,
		"indented@example.com": false, " indented@example.com": true, // no address begins with a blank
		"a@b": true, "A@B": true, "a@c": false, "b": false, "@b": false,
		"aaaaaaaaaaaaaaaaaaaa@example.com": true, "aaaaaaaaaaaaaaaaaaa@example.com": false,
		"aaaaaaaaaaaaaaaaaaaaa@example.com": false, "example.com": false,
		`"quoted part"@example.com`: true, `"quoted`: true, "grün@example.com": true, "grÜn@example.com": false,
		"tag+x@example.com": true, "tag@example.com": false, "tag+y@example.com": false,
		"\u212aelvin@example.com": false, // KELVIN SIGN is not K
		long:                      true, long[1:]: false, "last@example.com": true, "LAST@example.com": true, "last@example.co": false,
		strings.Repeat("x", 5000): false, "nul\x00@example.com": false,
	} {
		if got, _, err := scan(strings.NewReader(file), address); err != nil || got != want {
			t.Errorf("scan for %q: %v, %v; want %v", address, got, err, want)
		}
		set, err := read(strings.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Contains(address); got != want && !strings.HasPrefix(address, `"quoted`) && address[0] != ' ' {
			t.Errorf("Contains(%q) = %v; want %v", address, got, want)
		}
	}
	if got, _, err := scan(strings.NewReader(""), "a@b"); got || err != nil {
		t.Errorf("in an empty file: %v, %v", got, err)
	}
}

// Wherever the end of a piece falls, an address is found, and no other.
func TestEveryPlace(t *testing.T) {
	for _, address := range []string{"a@b.c", "somebody@example.com"} {
		for shift := range 64 {
			var b strings.Builder
			b.WriteString("#" + strings.Repeat("x", pieceSize-64+shift) + "\n")
			b.WriteString("some@example.com\nsomebody@example.co\nxsomebody@example.com\n")
			if got, _, err := scan(strings.NewReader(b.String()), address); got || err != nil {
				t.Fatalf("%s, shift %d: %v, %v before it is there", address, shift, got, err)
			}
			for _, ending := range []string{"", "\n", "\r\n", " \n", "\nz@example.com\n"} {
				if got, _, err := scan(strings.NewReader(b.String()+address+ending), address); !got || err != nil {
					t.Fatalf("%s, shift %d, ending %q: %v, %v", address, shift, ending, got, err)
				}
			}
		}
	}
}

// The obvious way finds the same.
func TestAgainstReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	alphabet := "ab.AB@c"
	for range 3000 {
		var file strings.Builder
		for range r.IntN(30) {
			for range r.IntN(14) {
				file.WriteByte(alphabet[r.IntN(len(alphabet))])
			}
			file.WriteString([]string{"\n", "\r\n", " x\n"}[r.IntN(3)])
		}
		var want string
		for range 1 + r.IntN(13) {
			want += string(alphabet[r.IntN(len(alphabet))])
		}
		if lines := strings.Split(file.String(), "\n"); r.IntN(2) == 0 && len(lines) > 1 {
			want = strings.ToUpper(strings.Fields(lines[0] + " x")[0])
		}
		found := false
		for line := range strings.Lines(file.String()) {
			word := strings.TrimRight(line, "\r\n")
			word = strings.TrimSuffix(word, " x")
			found = found || strings.EqualFold(word, want)
		}
		got, _, err := scan(strings.NewReader(file.String()), want)
		if err != nil || got != found {
			t.Fatalf("scan for %q: %v, %v; want %v in %q", want, got, err, found, file.String())
		}
		set, err := read(strings.NewReader(file.String()), int64(file.Len()))
		if err != nil || set.Contains(want) != found {
			t.Fatalf("Contains(%q) = %v, %v; want %v in %q", want, !found, err, found, file.String())
		}
	}
}

// TestLower compares with what every octet is alone.
func TestLower(t *testing.T) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	for at := range 9 {
		got := bytes.Clone(all[at:])
		lower(got)
		for i, c := range all[at:] {
			want := c
			if c >= 'A' && c <= 'Z' {
				want += 'a' - 'A'
			}
			if got[i] != want {
				t.Fatalf("%q became %q", c, got[i])
			}
		}
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestError(t *testing.T) {
	if _, _, err := scan(broken{}, "a@b"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

// many is a file of 100,000 addresses in no order.
func many(t testing.TB) *os.File {
	var text bytes.Buffer
	for _, i := range rand.Perm(100000) {
		fmt.Fprintf(&text, "user%06d@example.com\n", i)
	}
	path := filepath.Join(t.TempDir(), "recipients")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestFinder reads a file a few times, and then has it in memory.
func TestFinder(t *testing.T) {
	f := many(t)
	l := NewFinder(f)
	for i := range 2 * maxScans {
		got, err := l.Contains("USER000007@example.com")
		no, nerr := l.Contains("user100000@example.com")
		if err := errors.Join(err, nerr); err != nil || !got || no {
			t.Fatalf("look-up %d: %v, %v, %v", i, got, no, err)
		}
	}
	if l.set == nil || l.left < maxOctets-maxScans*3<<20 {
		t.Errorf("%d octets may still be read, and the set is %v", l.left, l.set != nil)
	}
}

// TestFinderBudget has a file that is too large to be loaded.
func TestFinderBudget(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "recipients"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(MaxSet + 1); err != nil {
		t.Fatal(err)
	}
	l := NewFinder(f)
	l.left = 4 * MaxSet
	for i := range 4 {
		if got, err := l.Contains("a@b"); got || err != nil {
			t.Fatalf("look-up %d: %v, %v", i, got, err)
		}
	}
	if _, err := l.Contains("a@b"); !errors.Is(err, ErrEnough) {
		t.Errorf("beyond the budget: %v", err)
	}
}

// BenchmarkMiss is one look-up in vain: by a finder's first, and in a set.
func BenchmarkMiss(b *testing.B) {
	f := many(b)
	b.Run("scan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if found, _, err := scan(f, "firstname.lastname@example.com"); found || err != nil {
				b.Fatal(found, err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Load(f); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("set", func(b *testing.B) {
		s, err := Load(f)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			s.Contains("firstname.lastname@example.com")
		}
	})
}
