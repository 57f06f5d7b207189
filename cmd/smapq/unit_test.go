package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"smap/spoolfmt"
)

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 seconds", 0: "0 seconds", time.Second: "1 second", 119 * time.Second: "119 seconds",
		2 * time.Minute: "2 minutes", 2 * time.Hour: "2 hours", 47 * time.Hour: "47 hours", 72 * time.Hour: "3 days",
	} {
		if got := age(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 10 << 10: "10 KiB", 1 << 20: "1.0 MiB", 1000 << 10: "1.0 MiB", 5 << 30: "5.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"90s": 90 * time.Second, "2d": 48 * time.Hour, "1w": 168 * time.Hour, "1h30m": 90 * time.Minute} {
		if got, err := duration(s); got != want || err != nil {
			t.Errorf("%s is %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "d", "-1d", "-5m", "5", "x", "1.5d"} {
		if got, err := duration(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}

// TestPipe reads lines that end in LF, CR LF or both, in pieces of every size.
func TestPipe(t *testing.T) {
	const in, want = "a\nb\r\n\n\r\nc", "a\r\nb\r\n\r\n\r\nc"
	for n := 1; n < len(want)+1; n++ {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "bytes": iotest.OneByteReader(strings.NewReader(in))} {
			p := &pipe{in: r}
			var got []byte
			for {
				b := make([]byte, n)
				k, err := p.Read(b)
				got = append(got, b[:k]...)
				if err == io.EOF && !p.due {
					break
				}
				if err != nil && err != io.EOF {
					t.Fatal(err)
				}
			}
			if string(got) != want {
				t.Errorf("pieces of %d, %s: %q, want %q", n, name, got, want)
			}
		}
	}
}

// TestCleaner puts a line's end at and around the end of the buffer.
func TestCleaner(t *testing.T) {
	for n := range 40 {
		for _, end := range []string{"\n", "\r\n", ""} {
			in := strings.Repeat("x", n) + end
			c := &cleaner{r: bufio.NewReaderSize(strings.NewReader(in), 16)}
			var got strings.Builder
			for {
				chunk, err := c.next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%q: %v", in, err)
				}
				got.Write(chunk)
			}
			want := strings.Repeat("x", n) + "\n"
			if n == 0 && end == "" {
				want = ""
			}
			if got.String() != want {
				t.Errorf("%q is %q, want %q", in, got.String(), want)
			}
		}
	}
}

// TestWalk walks more messages than it may sort: all are seen, once.
func TestWalk(t *testing.T) {
	dir := t.TempDir()
	s, err := spoolfmt.OpenDrainer(dir, spoolfmt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const messages = chunkSize + 88
	for i := range messages {
		if err := os.WriteFile(fmt.Sprintf("%s/new/%04d.envelope", dir, i), nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for _, most := range []int{messages, messages - 1} {
		seen := make(map[string]int)
		var ids []string
		sorted, err := walk(t.Context(), s, walkBoxes(s), most, func(part []ref) error {
			for _, r := range part {
				seen[r.id]++
				ids = append(ids, r.id)
			}
			return nil
		})
		if err != nil || len(seen) != messages || len(ids) != messages {
			t.Errorf("at most %d: %d messages, %d of them different, %v", most, len(ids), len(seen), err)
		}
		if want := most == messages; sorted != want || sorted && !slices.IsSorted(ids) {
			t.Errorf("at most %d: sorted is %v", most, sorted)
		}
	}
}

func TestPlot(t *testing.T) {
	ascii := bars(func(string) string { return "C" })
	if got := plot([]float64{0, 0.1, 5, 10}, 10, ascii); got != " .+@" {
		t.Errorf("plot %q", got)
	}
	utf8 := bars(func(string) string { return "en_US.UTF-8" })
	if got := plot([]float64{0, 10}, 10, utf8); got != " █" {
		t.Errorf("plot %q", got)
	}
}

// TestHistory counts for longer than it can remember.
func TestHistory(t *testing.T) {
	var h history
	now := time.Unix(1000, 0)
	h.tick(now)
	for i := range historySize + 5 {
		for range i {
			h.count(eventCommitted)
		}
		now = now.Add(2 * time.Second)
		h.tick(now)
	}
	got := h.last(3, func(in, _ float64) float64 { return in })
	want := float64(historySize+4) / 2
	if len(got) != 3 || got[2] != want || got[0] != want-1 {
		t.Errorf("last %v, want them to end in %v", got, want)
	}
}

// TestWrap keeps to the width, and loses nothing.
func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"one two three", 7, "one two|three"}, {"one", 0, "one"}, {"abcdefgh ij", 4, "abcd|efgh|ij"},
		{"", 5, ""}, {"größe größe", 5, "größe|größe"},
	} {
		if got := strings.Join(wrap(test.text, test.width), "|"); got != test.want {
			t.Errorf("%q in %d columns: %q, want %q", test.text, test.width, got, test.want)
		}
	}
}

// TestShortIDs: each is unique, and no shorter than four characters.
func TestShortIDs(t *testing.T) {
	ids := []string{"20261123T200413.123456Z-7f3a9c1e2b4d5e6f", "20261123T200413.123457Z-7f3abc1e2b4d5e6f",
		"20261123T200413.123458Z-0000111122223333", "other-1", "other-12"}
	got := shortIDs(ids)
	for id, want := range map[string]string{ids[0]: "7f3a9", ids[1]: "7f3ab", ids[2]: "0000", "other-12": "other-12", "other-1": "other-1"} {
		if got[id] != want {
			t.Errorf("%s is %q for short, want %q", id, got[id], want)
		}
	}
}

// TestWatchLines: the longest delivery comes first, and the reason of the last error is whole.
func TestWatchLines(t *testing.T) {
	now := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	ann := "ann@example.com"
	l := &live{a: &app{term: terminal{width: 40, height: 50}}, reader: &eventReader{}, last: &counts{Time: now, Dir: "/spool"},
		working: []row{{ID: "slow", Sender: &ann}}, since: map[string]time.Time{"slow": now.Add(-30 * time.Second)},
		errors: []failed{{now.Add(-2 * time.Minute), row{ID: "x", State: stateDeferred, Sender: &ann,
			LastError: "exit 75 (EX_TEMPFAIL): the disk of the mail server is full"}}}}
	got := strings.Join(l.lines(), "\n")
	for _, want := range []string{"IN DELIVERY\nslow  0 B  for 30 seconds\n", "LAST ERRORS\n2 minutes ago, deferred: from <ann@exam…\n",
		"    exit 75 (EX_TEMPFAIL): the disk of\n    the mail server is full"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

// TestFeederUmask: a file that is fed has its mode at once, although the user's umask takes away the drainer's bits.
func TestFeederUmask(t *testing.T) {
	dir := t.TempDir()
	for _, box := range []string{"tmp", "new", "cur", "bad"} {
		if err := os.Mkdir(filepath.Join(dir, box), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	defer syscall.Umask(syscall.Umask(0o077))
	a := &app{place: &place{dir: dir}}
	s, err := a.feeder()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := syscall.Umask(0o077); got != 0o007 {
		t.Errorf("the umask is %#o, want 07", got)
	}
}
