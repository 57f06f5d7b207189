//go:build system

package kit

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// WriteAgent makes an agent of a few lines of shell.
func WriteAgent(s *Site, text string) string {
	return s.Write(s.File("agent"), "#!/bin/sh\n"+text, 0o755)
}

// Field is the value of a field in an envelope of the spool, "" when the file or the field is not there.
func (s *Site) Field(box, id, name string) string {
	b, _ := os.ReadFile(s.Path(box, id+".envelope")) // gone is an answer too
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSuffix(value, "\n")
		}
	}
	return ""
}

// ReadFile is the text of a file.
func ReadFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Put writes a file that its group can read.
func Put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// Site is one installation below a directory of its own: a spool, a netperm-table, logs.
type Site struct {
	T     *testing.T
	Dir   string
	Spool string
	Table string
}

// NewSite makes the spool as the manual advises it: smapd owns it, smap is only one of its feeders.
func NewSite(t *testing.T) *Site {
	t.Helper()
	base := "/var/tmp/smap-systest"
	if err := os.MkdirAll(base, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(base, "site-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{T: t, Dir: dir, Spool: filepath.Join(dir, "spool"), Table: filepath.Join(dir, "netperm-table")}
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("SYSTEST_KEEP") != "" {
			t.Log("kept:", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s.Mkdir(dir, 0o755, 0, 0)
	s.MakeSpool()
	return s
}

// MakeSpool makes the spool's directories, also on a file system that a test has just mounted there.
func (s *Site) MakeSpool() {
	s.T.Helper()
	uid, gid := IDs(s.T, SmapdUser)
	s.Mkdir(s.Spool, 0o710, uid, GroupID(s.T, Feeders))
	s.Mkdir(s.Path("tmp"), 0o3733|os.ModeSetgid|os.ModeSticky, uid, gid)
	s.Mkdir(s.Path("new"), 0o3737|os.ModeSetgid|os.ModeSticky, uid, gid)
	s.Mkdir(s.Path("cur"), 0o700, uid, gid)
	s.Mkdir(s.Path("bad"), 0o700, uid, gid)
}

// Mkdir makes a directory with that mode and owner.
func (s *Site) Mkdir(path string, mode os.FileMode, uid, gid int) {
	s.T.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		s.T.Fatal(err)
	}
	if err := os.Chown(path, uid, gid); err != nil {
		s.T.Fatal(err)
	}
	if err := os.Chmod(path, mode&os.ModePerm|mode&(os.ModeSetgid|os.ModeSticky)); err != nil {
		s.T.Fatal(err)
	}
}

// Path names something in the spool.
func (s *Site) Path(elem ...string) string {
	return filepath.Join(append([]string{s.Spool}, elem...)...)
}

// File names something beside the spool.
func (s *Site) File(elem ...string) string {
	return filepath.Join(append([]string{s.Dir}, elem...)...)
}

// Write makes a file, readable by all.
func (s *Site) Write(path, text string, mode os.FileMode) string {
	s.T.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.T.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		s.T.Fatal(err)
	}
	return path
}

// Rules writes the netperm-table: what every site has, then these lines.
func (s *Site) Rules(lines ...string) {
	s.T.Helper()
	table := []string{
		"smap, smapd: directory " + s.Spool,
		"smap: userid " + SmapUser,
		"smap: groupid " + Feeders,
		"smapd: userid " + SmapdUser,
	}
	s.Write(s.Table, strings.Join(append(table, lines...), "\n")+"\n", 0o600)
}

// Count is the number of entries in each box.
func (s *Site) Count(box string) int {
	s.T.Helper()
	return len(s.Names(box))
}

// Names are the entries of a box.
func (s *Site) Names(box string) []string {
	s.T.Helper()
	f, err := os.Open(s.Path(box))
	if err != nil {
		s.T.Fatal(err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		s.T.Fatal(err)
	}
	return names
}

// Empty wants nothing left in any box, within the time that a drainer may take to clean up. Only a running smapd's
// own reserve for the next outcomes may be in tmp/.
func (s *Site) Empty() {
	s.T.Helper()
	left := func() string {
		var all []string
		for _, box := range []string{"tmp", "new", "cur", "bad"} {
			for _, name := range s.Names(box) {
				if box == "tmp" && strings.HasSuffix(name, ".record") {
					continue
				}
				all = append(all, box+"/"+name)
			}
		}
		return strings.Join(all, " ")
	}
	if !Eventually(10*time.Second, func() bool { return left() == "" }) {
		s.T.Errorf("left in the spool: %s", left())
	}
}

// Eventually asks every few milliseconds, until it is true or the time is over.
func Eventually(limit time.Duration, done func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if done() {
			return true
		}
	}
	return done()
}

// Stays wants a condition to hold for a while. What says what could end it, and so why the while is long enough.
func Stays(t *testing.T, while time.Duration, what string, holds func() bool) {
	t.Helper()
	if Eventually(while, func() bool { return !holds() }) {
		t.Errorf("not for %v: %s", while, what)
	}
}

// FreePort is a TCP port of the loopback address that nobody listens on.
func FreePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Listening waits until a server answers on that port.
func Listening(t *testing.T, port int) {
	t.Helper()
	ok := Eventually(15*time.Second, func() bool {
		c, err := net.DialTimeout("tcp", Local(port), time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	if !ok {
		t.Fatalf("nothing listens on port %d", port)
	}
}

// Local is an address of the loopback interface.
func Local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
