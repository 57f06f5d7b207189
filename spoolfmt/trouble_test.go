package spoolfmt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// unreadable makes every open of names with that suffix fail, until it is called
// with nil.
func (x *testSpool) unreadable(suffix string, err error) {
	x.sys.open = func(dir int, name string, flags int, mode uint32) (int, error) {
		if err != nil && strings.HasSuffix(name, suffix) && flags&unix.O_CREAT == 0 {
			return -1, err
		}
		return systemCalls().open(dir, name, flags, mode)
	}
}

// TestUnreadable: what cannot be read stays where it is, both files of it, however
// long that lasts, and is delivered when it can be read again.
func TestUnreadable(t *testing.T) {
	for _, trouble := range []error{unix.EACCES, unix.EPERM, unix.EIO, unix.ESTALE, unix.ENOTCONN, unix.EMFILE, unix.ENOMEM} {
		for _, box := range []string{"new", "cur"} {
			for _, suffix := range []string{".eml", ".envelope"} {
				t.Run(fmt.Sprint(trouble, box, suffix), func(t *testing.T) {
					x := newTestSpool(t)
					x.put(box+"/m.eml", "precious\n")
					x.put(box+"/m.envelope", envelopeText(9))
					x.unreadable(suffix, trouble)
					for range 3 {
						c, err := x.Claim("m")
						if err == nil {
							err = c.Load()
							if rerr := c.Release(); rerr != nil {
								t.Fatal(rerr)
							}
						}
						var bad *MalformedError
						if !errors.Is(err, trouble) || errors.As(err, &bad) {
							t.Errorf("%v", err)
						}
						x.pass(2 * Orphaned)
						x.sweep(10 * Orphaned)
					}
					if got := x.namesIn("new", "cur", "bad"); len(got) != 2 || got[0][:4] != got[1][:4] || strings.HasPrefix(got[0], "bad") {
						t.Errorf("spool holds %q", got)
					}
					x.unreadable(suffix, nil)
					c := x.claim("m")
					if err := c.Load(); err != nil {
						t.Fatal(err)
					}
					if err := errors.Join(c.Finish(), x.Flush()); err != nil {
						t.Fatal(err)
					}
				})
			}
		}
	}
}

// TestUnreadableDrop: the same of a drop.
func TestUnreadableDrop(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/m.mail", "From: a@example.com\nTo: b@example.org\n\nx\n")
	x.unreadable(".mail", unix.EACCES)
	if _, err := x.ClaimDrop("m.mail"); !errors.Is(err, unix.EACCES) {
		t.Errorf("claim: %v", err)
	}
	x.has("new/m.mail")
}

// TestRestored: a backup comes back into cur, one file first, in either order.
func TestRestored(t *testing.T) {
	text := map[string]string{"cur/m.eml": "x\n", "cur/m.envelope": envelopeText(2)}
	for _, order := range [][]string{{"cur/m.eml", "cur/m.envelope"}, {"cur/m.envelope", "cur/m.eml"}} {
		x := newTestSpool(t)
		x.put(order[0], text[order[0]])
		for _, after := range []time.Duration{0, LookAgain, Orphaned - time.Minute} {
			if _, err := x.Claim("m"); err == nil {
				t.Fatal("half a message was claimed")
			}
			x.sweep(after)
		}
		x.put(order[1], text[order[1]])
		c := x.claim("m")
		if err := errors.Join(c.Load(), c.Finish(), x.Flush()); err != nil {
			t.Fatal(err)
		}
		x.has()
	}
}

// TestOddTaking: a drainer died after it moved an envelope whose content is no
// file.
func TestOddTaking(t *testing.T) {
	x := newTestSpool(t)
	x.put("cur/m.envelope", envelopeText(2))
	if err := unix.Mkfifo(filepath.Join(x.dir, "new/m.eml"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.malformed("m")
	x.has("bad/m.eml", "bad/m.envelope")
}

// TestOneCopy: another user's content is copied once, when it is loaded, and each
// program that reads it has a position of its own.
func TestOneCopy(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of another user")
	}
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("the system has no /proc/self/fd: each program gets a copy")
	}
	x := newTestSpool(t)
	id := x.feed("hello\n")
	for _, suffix := range []string{".eml", ".envelope"} {
		if err := os.Chown(filepath.Join(x.dir, "new", id+suffix), 12345, -1); err != nil {
			t.Fatal(err)
		}
	}
	c := x.claim(id)
	copies := 0
	x.sys.open = func(dir int, name string, flags int, mode uint32) (int, error) {
		if strings.HasSuffix(name, ".copy") {
			copies++
		}
		return systemCalls().open(dir, name, flags, mode)
	}
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f, err := c.Open()
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(f); err != nil || string(text) != "hello\n" {
			t.Errorf("%q, %v", text, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if copies != 1 {
		t.Errorf("%d copies", copies)
	}
	if err := c.Release(); err != nil {
		t.Error(err)
	}
}

// TestCopyWhole: where a link is refused, nothing of a content is lost, whatever
// Size says and however few blocks the file system admits to. It ends where the content did when it began.
func TestCopyWhole(t *testing.T) {
	x := newTestSpool(t)
	text := strings.Repeat("0123456789abcde\n", 20000)
	x.put("new/m.eml", text)
	file := filepath.Join(x.dir, "new/m.eml")
	if err := os.Truncate(file, 1<<20); err != nil { // a hole in the middle
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("end\n"); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(file, 2<<20); err != nil { // and one at the end
		t.Fatal(err)
	}
	want := x.read("new/m.eml")
	x.put("new/m.envelope", envelopeText(6))
	x.sys.link = func(int, string, int, string) error { return unix.EPERM }
	x.sys.write = func(fd int, p []byte) (int, error) {
		if len(p) > 1000 { // content: its feeder goes on writing
			if _, err := f.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		return systemCalls().write(fd, p)
	}
	x.malformed("m")
	x.has("bad/m.eml", "bad/m.envelope")
	if got := x.read("bad/m.eml"); got != want {
		t.Errorf("the copy has %d octets, want those %d", len(got), len(want))
	}
}

// TestCopyStops: a copy writes only what its feeder has stored, however huge it
// made the file.
func TestCopyStops(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of another user")
	}
	for name, text := range map[string]string{"envelope whole": envelopeText(6), "envelope malformed": "nonsense\n"} {
		t.Run(name, func(t *testing.T) {
			x := newTestSpool(t)
			x.put("new/m.eml", "hello\n")
			x.put("new/m.envelope", text)
			for _, suffix := range []string{".eml", ".envelope"} {
				if err := os.Chown(filepath.Join(x.dir, "new/m"+suffix), 12345, -1); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Truncate(filepath.Join(x.dir, "new/m.eml"), 8<<40); err != nil {
				t.Fatal(err)
			}
			written := 0
			x.sys.write = func(fd int, p []byte) (int, error) {
				written += len(p)
				return systemCalls().write(fd, p)
			}
			x.sys.link = func(int, string, int, string) error { return unix.EPERM }
			x.malformed("m")
			x.has("bad/m.eml", "bad/m.envelope")
			if written > 64<<10 {
				t.Errorf("%d octets were written", written)
			}
		})
	}
}

// TestOwnerUnknown: while nobody can tell whose the spool is, an envelope of
// another user than the content's is not malformed.
func TestOwnerUnknown(t *testing.T) {
	x := newTestSpool(t)
	c := x.claim(x.feed("x\n"))
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	drainer := c.envIno.Uid
	c.envIno.Uid = 12345
	x.sys.fstat = func(int) (unix.Stat_t, error) { return unix.Stat_t{}, unix.EIO }
	err := c.sameOwner(&unix.Stat_t{Uid: 12346})
	var bad *MalformedError
	if !errors.Is(err, unix.EIO) || errors.As(err, &bad) || c.foreign {
		t.Errorf("%v, want only the trouble", err)
	}
	x.sys = systemCalls()
	if err := c.sameOwner(&unix.Stat_t{Uid: 12346}); !errors.As(err, &bad) {
		t.Errorf("%v, want a MalformedError", err)
	}
	c.envIno.Uid = drainer
	if err := errors.Join(c.sameOwner(&unix.Stat_t{Uid: 12346}), c.Release()); err != nil {
		t.Error(err)
	}
}

// TestSightingsFull: when the table of what must be seen twice is full, what is in
// it still ends and makes room, and what nobody looks at again goes.
func TestSightingsFull(t *testing.T) {
	var table sightings
	now := time.Now()
	nth := func(i int) sighting { return sighting{state: errOrphan, id: fmt.Sprint(i)} }
	for i := range maxSightings + 1 {
		if table.lasted(now, nth(i)) {
			t.Fatal("lasted at the first sight")
		}
	}
	now = now.Add(LookAgain)
	for i := range maxSightings {
		if !table.lasted(now, nth(i)) {
			t.Fatalf("%d did not last", i)
		}
	}
	table.forget(nth(0))
	for _, want := range []bool{false, true} {
		if got := table.lasted(now, nth(maxSightings)); got != want {
			t.Errorf("the last one: %v, want %v", got, want)
		}
		now = now.Add(LookAgain)
	}
	now = now.Add(forgetAfter)
	table.lasted(now, nth(maxSightings+1))
	if n := len(table.first); n != 1 {
		t.Errorf("%d are remembered for ever", n)
	}
}

// TestSpoolGone: a network file system that went away answers for the open
// directory with an error, and the spool has to be opened again.
func TestSpoolGone(t *testing.T) {
	x := newTestSpool(t)
	if x.Moved() {
		t.Fatal("moved before anything happened")
	}
	for _, gone := range []error{unix.ENOTCONN, unix.ESTALE} {
		x.sys.fstat = func(int) (unix.Stat_t, error) { return unix.Stat_t{}, gone }
		if !x.Moved() {
			t.Errorf("%v: not moved", gone)
		}
	}
	x.sys.fstat = func(int) (unix.Stat_t, error) { return unix.Stat_t{}, unix.EIO }
	if x.Moved() {
		t.Error("an I/O error is not a move")
	}
}

// TestLoneDone: a .done file goes when the removal of its content is durable. A content
// that came back meanwhile stays.
func TestLoneDone(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("x\n")
	c := x.claim(id)
	if err := errors.Join(c.Load(), c.Finish(), x.Spool.Flush()); err != nil {
		t.Fatal(err)
	}
	x.put("cur/"+id+".eml", "restored\n")
	if err := x.Spool.Flush(); err != nil {
		t.Fatal(err)
	}
	x.has("cur/" + id + ".eml") // LOST
	x.sweep(0)
	x.has("cur/" + id + ".eml")
	if got := x.read("cur/" + id + ".eml"); got != "restored\n" {
		t.Errorf("%q", got)
	}
	if slices.Contains(x.namesIn("bad"), "bad/"+id+".eml") {
		t.Error("it is in bad already")
	}
}
