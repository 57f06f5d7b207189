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
		"": false, strings.Repeat("x", 5000): false, "nul\x00@example.com": false,
	} {
		got, err := New(strings.NewReader(file)).Contains(address)
		if err != nil || got != want {
			t.Errorf("Contains(%q) = %v, %v; want %v", address, got, err, want)
		}
	}
	if got, err := New(strings.NewReader("")).Contains("a@b"); got || err != nil {
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
			l := New(strings.NewReader(b.String()))
			if got, err := l.Contains(address); got || err != nil {
				t.Fatalf("%s, shift %d: %v, %v before it is there", address, shift, got, err)
			}
			for _, ending := range []string{"", "\n", "\r\n", " \n", "\nz@example.com\n"} {
				l := New(strings.NewReader(b.String() + address + ending))
				if got, err := l.Contains(address); !got || err != nil {
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
		got, err := New(strings.NewReader(file.String())).Contains(want)
		if err != nil || got != found {
			t.Fatalf("Contains(%q) = %v, %v; want %v in %q", want, got, err, found, file.String())
		}
	}
}

// TestSkip compares what a processor has of its own for this with what any can do: wherever the pair is, in whatever case,
// alone or beside octets that are nearly right.
func TestSkip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		a, b := make([]byte, r.IntN(300)), make([]byte, r.IntN(300))
		for _, text := range [][]byte{a, b} {
			for i := range text {
				text[i] = "aAbB@\n\x00\x80\xe1\xff"[r.IntN(10)]
			}
		}
		first, second := "ab@\n\xff\x01"[r.IntN(6)], "ab@\n\xff\x01"[r.IntN(6)]
		if r.IntN(2) == 0 { // one place at most
			for i := range a {
				a[i] = ^first
			}
			if n := min(len(a), len(b)); n > 0 {
				i := r.IntN(n)
				a[i], b[i] = first^0x20*byte(r.IntN(2)), second
			}
		}
		want := skipWords(a, b, uint64(first)*ones, uint64(second)*ones)
		if got := skip(a, b, uint64(first)*ones, uint64(second)*ones); got != want {
			t.Fatalf("%q and %q, looking for %q and %q: skip %d, want %d", a, b, first, second, got, want)
		}
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestError(t *testing.T) {
	if _, err := New(broken{}).Contains("a@b"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

// many is a file of 100,000 addresses in no order.
func many(b *testing.B) *os.File {
	var text bytes.Buffer
	for _, i := range rand.Perm(100000) {
		fmt.Fprintf(&text, "user%06d@example.com\n", i)
	}
	path := filepath.Join(b.TempDir(), "recipients")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return f
}

// BenchmarkFirst is what one connection under inetd pays: a list of its own, and
// one look-up that goes through the whole file.
func BenchmarkFirst(b *testing.B) {
	f := many(b)
	for _, address := range []string{"user999999@example.com", "firstname.lastname@example.com", "joe@example.com", "a@b.c"} {
		b.Run(address, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if found, err := New(f).Contains(address); found || err != nil {
					b.Fatal(found, err)
				}
			}
		})
	}
}
