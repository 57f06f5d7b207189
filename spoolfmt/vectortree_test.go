package spoolfmt

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

type treeFile struct {
	Before, After []treeEntry
	Delivered     []treeMessage
	Minutes       int         // until the second run
	Then          []treeEntry // made before it
}

type treeEntry struct {
	Path   string  `json:"path"`
	Type   string  `json:"type"`
	Text   *string `json:"text"`
	Base64 string  `json:"base64"`
	To     string  `json:"to"`
	SameAs string  `json:"same_as"`
	Hours  int     `json:"hours"`
	Ahead  int     `json:"ahead"`
	Mode   string  `json:"mode"`
}

type treeMessage struct {
	Sender     string   `json:"sender"`
	Recipients []string `json:"recipients"`
	Content    string   `json:"content"`
}

func treeVector(t *testing.T, v vector) {
	treeDrained(t, v, false)
	if !forPersons.MatchString(v.Name) {
		treeDrained(t, v, true)
	}
}

// forPersons matches the vectors whose state a drainer leaves to a person, or
// to a second look: a check that was asked to mend it does.
var forPersons = regexp.MustCompile(`^tree-(sending|deleting|person|unreadable)|-once$|-full$`)

// treeDrained drains a tree, as it is or after a check has mended what it
// could: the outcome must be the same.
func treeDrained(t *testing.T, v vector, repair bool) {
	var tree treeFile
	strictly(t, vectorFile(t, v.File), &tree)
	x := newTestSpool(t)
	x.denyUnreadable()
	hours := 0
	for _, e := range tree.Before {
		hours = max(hours, e.Hours)
	}
	x.pass(time.Duration(hours) * time.Hour)
	for _, e := range tree.Before {
		x.make(e)
	}
	if repair {
		x.repair()
	}
	got := x.drainAll()
	if tree.Minutes > 0 || tree.Then != nil {
		x.pass(time.Duration(tree.Minutes)*time.Minute + time.Second)
		for _, e := range tree.Then {
			x.make(e)
		}
		got = append(got, x.drainAll()...)
	}
	order := func(m []treeMessage) {
		sort.Slice(m, func(i, j int) bool { return m[i].Sender+m[i].Content < m[j].Sender+m[j].Content })
	}
	order(got)
	order(tree.Delivered)
	if len(got)+len(tree.Delivered) > 0 && !cmp.Equal(got, tree.Delivered) {
		t.Errorf("delivered %q, want %q", got, tree.Delivered)
	}
	x.compare(tree.After)
}

// denyUnreadable makes modes count for root, too.
func (x *testSpool) denyUnreadable() {
	open := x.sys.open
	x.sys.open = func(dir int, name string, flags int, mode uint32) (int, error) {
		if st, err := lstat(dir, name); err == nil && isRegular(&st) && st.Mode&0o400 == 0 {
			return -1, unix.EACCES
		}
		return open(dir, name, flags, mode)
	}
}

// repair mends what a check finds and what can be mended at the first look.
func (x *testSpool) repair() {
	x.t.Helper()
	_, all := x.check()
	for i := range all {
		err := all[i].Mend(x.Spool)
		for _, pass := range []error{nil, errors.ErrUnsupported, ErrBusy, ErrAlone, ErrLinked, ErrBlocked} {
			if err == nil || pass != nil && errors.Is(err, pass) {
				err = nil
				break
			}
		}
		if err != nil {
			x.t.Errorf("mend %v: %v", &all[i], err)
		}
	}
}

func (x *testSpool) make(e treeEntry) {
	x.t.Helper()
	path := filepath.Join(x.dir, e.Path)
	var err error
	switch {
	case e.SameAs != "":
		err = os.Link(filepath.Join(x.dir, e.SameAs), path)
	case e.Type == "dir":
		err = os.Mkdir(path, 0o755)
	case e.Type == "fifo":
		err = unix.Mkfifo(path, 0o644)
	case e.Type == "symlink":
		err = os.Symlink(e.To, path)
	case e.Base64 != "":
		var data []byte
		if data, err = base64.StdEncoding.DecodeString(e.Base64); err == nil {
			err = os.WriteFile(path, data, 0o640)
		}
	case e.Text != nil:
		err = os.WriteFile(path, []byte(*e.Text), 0o640)
	case e.Mode == "":
		err = os.WriteFile(path, nil, 0o640)
	}
	if err == nil && e.Ahead != 0 {
		err = os.Chtimes(path, time.Time{}, x.clock.Add(time.Duration(e.Ahead)*time.Minute))
	}
	if err == nil && e.Mode != "" {
		var mode uint64
		if mode, err = strconv.ParseUint(e.Mode, 8, 12); err == nil {
			err = os.Chmod(path, os.FileMode(mode))
		}
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// drainAll is a drainer whose agent accepts everything, run until nothing is
// left to do.
func (x *testSpool) drainAll() []treeMessage {
	x.t.Helper()
	var got []treeMessage
	for before := []string(nil); ; {
		if err := x.NewSweeper().Sweep(context.Background(), x.clock); err != nil {
			x.t.Fatal(err)
		}
		for _, name := range x.names() {
			box, file, _ := strings.Cut(name, "/")
			id, kind := SplitName(file)
			switch {
			case box == "new" && kind == KindDrop:
				got = x.take(got)(x.ClaimDrop(file))
			case box == "cur" && kind == KindDrop:
				got = x.take(got)(x.RecoverDrop(file))
			case box == "cur" && kind == KindEnvelope && x.isDeferred(file):
			case (box == "new" || box == "cur") && kind == KindEnvelope:
				got = x.take(got)(x.Claim(id))
			}
		}
		if err := x.Flush(); err != nil {
			x.t.Fatal(err)
		}
		after := x.names()
		if cmp.Equal(before, after) {
			return got
		}
		before = after
	}
}

func (x *testSpool) isDeferred(envelope string) bool {
	info, err := x.Stat(Cur, envelope)
	return err == nil && x.deferred(info.ModTime.Add(-time.Minute)) // files are made after the clock was read
}

func (x *testSpool) take(got []treeMessage) func(*Claim, error) []treeMessage {
	return func(c *Claim, err error) []treeMessage {
		x.t.Helper()
		for _, pass := range []error{ErrBusy, ErrGone, ErrBlocked, ErrLinked, ErrAlone, fs.ErrPermission} {
			if errors.Is(err, pass) {
				return got
			}
		}
		var bad *MalformedError
		if errors.As(err, &bad) { // a drop, in bad already
			return got
		}
		if err != nil {
			x.t.Fatal(err)
		}
		if err := c.Load(); err != nil {
			if errors.Is(err, fs.ErrPermission) {
				if err := c.Release(); err != nil {
					x.t.Fatal(err)
				}
				return got
			}
			if !errors.As(err, &bad) {
				x.t.Fatal(err)
			}
			if err := c.SetAside(bad.Error()); err != nil {
				x.t.Fatal(err)
			}
			return got
		}
		if pending := c.Envelope().Pending(); len(pending) > 0 {
			m := treeMessage{Sender: c.Envelope().Sender().Address}
			for _, p := range pending {
				m.Recipients = append(m.Recipients, p.Address)
			}
			content, err := io.ReadAll(io.NewSectionReader(c.Content(), 0, 1<<30))
			if err != nil {
				x.t.Fatal(err)
			}
			m.Content = string(content)
			got = append(got, m)
		}
		if err := c.delivered(); err != nil {
			x.t.Fatal(err)
		}
		return got
	}
}

// compare matches what is left with the vector's list.
func (x *testSpool) compare(after []treeEntry) {
	x.t.Helper()
	left := x.names()
	for _, e := range after {
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(e.Path), `\*`, ".+") + "$"
		found := -1
		for i, name := range left {
			if ok, err := regexp.MatchString(pattern, name); err != nil {
				x.t.Fatal(err)
			} else if ok {
				found = i
				break
			}
		}
		if found < 0 {
			x.t.Errorf("%s is not there, but %q", e.Path, left)
			continue
		}
		name := left[found]
		left = append(left[:found:found], left[found+1:]...)
		st, err := os.Lstat(filepath.Join(x.dir, name))
		if err != nil {
			x.t.Fatal(err)
		}
		types := map[os.FileMode]string{0: "", os.ModeDir: "dir", os.ModeNamedPipe: "fifo", os.ModeSymlink: "symlink"}
		if got := types[st.Mode().Type()]; got != e.Type && (got != "" || e.Type != "file") {
			x.t.Errorf("%s is a %q, want %q", name, got, e.Type)
		}
		if e.Text != nil && x.read(name) != *e.Text {
			x.t.Errorf("%s has another text: %q", name, x.read(name))
		}
	}
	if len(left) > 0 {
		x.t.Errorf("left: %q", left)
	}
}
