//go:build system

package systest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// site is one installation below a directory of its own: a spool, a netperm-table, logs.
type site struct {
	t     *testing.T
	dir   string
	spool string
	table string
}

// newSite makes the spool as the manual advises it: smapd owns it, smap is only one of its feeders.
func newSite(t *testing.T) *site {
	t.Helper()
	base := "/var/tmp/smap-systest"
	if err := os.MkdirAll(base, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(base, "site-")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, spool: filepath.Join(dir, "spool"), table: filepath.Join(dir, "netperm-table")}
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("SYSTEST_KEEP") != "" {
			t.Log("kept:", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s.mkdir(dir, 0o755, 0, 0)
	s.makeSpool()
	return s
}

// makeSpool makes the spool's directories, also on a file system that a test has just mounted there.
func (s *site) makeSpool() {
	s.t.Helper()
	uid, gid := ids(s.t, smapdUser)
	s.mkdir(s.spool, 0o710, uid, groupID(s.t, feeders))
	s.mkdir(s.path("tmp"), 0o3733|os.ModeSetgid|os.ModeSticky, uid, gid)
	s.mkdir(s.path("new"), 0o3737|os.ModeSetgid|os.ModeSticky, uid, gid)
	s.mkdir(s.path("cur"), 0o700, uid, gid)
	s.mkdir(s.path("bad"), 0o700, uid, gid)
}

func (s *site) mkdir(path string, mode os.FileMode, uid, gid int) {
	s.t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chown(path, uid, gid); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chmod(path, mode&os.ModePerm|mode&(os.ModeSetgid|os.ModeSticky)); err != nil {
		s.t.Fatal(err)
	}
}

// path names something in the spool.
func (s *site) path(elem ...string) string {
	return filepath.Join(append([]string{s.spool}, elem...)...)
}

// file names something beside the spool.
func (s *site) file(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// write makes a file, readable by all.
func (s *site) write(path, text string, mode os.FileMode) string {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// rules writes the netperm-table: what every site has, then these lines.
func (s *site) rules(lines ...string) {
	s.t.Helper()
	table := []string{
		"smap, smapd: directory " + s.spool,
		"smap: userid " + smapUser,
		"smap: groupid " + feeders,
		"smapd: userid " + smapdUser,
	}
	s.write(s.table, strings.Join(append(table, lines...), "\n")+"\n", 0o600)
}

// count is the number of entries in each box.
func (s *site) count(box string) int {
	s.t.Helper()
	return len(s.names(box))
}

func (s *site) names(box string) []string {
	s.t.Helper()
	f, err := os.Open(s.path(box))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		s.t.Fatal(err)
	}
	return names
}

// empty wants nothing left in any box, within the time that a drainer may take to clean up. Only a running smapd's
// own reserve for the next outcomes may be in tmp/.
func (s *site) empty() {
	s.t.Helper()
	left := func() string {
		var all []string
		for _, box := range []string{"tmp", "new", "cur", "bad"} {
			for _, name := range s.names(box) {
				if box == "tmp" && strings.HasSuffix(name, ".record") {
					continue
				}
				all = append(all, box+"/"+name)
			}
		}
		return strings.Join(all, " ")
	}
	if !eventually(10*time.Second, func() bool { return left() == "" }) {
		s.t.Errorf("left in the spool: %s", left())
	}
}

// eventually asks every few milliseconds, until it is true or the time is over.
func eventually(limit time.Duration, done func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if done() {
			return true
		}
	}
	return done()
}

// freePort is a TCP port of the loopback address that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// listening waits until a server answers on that port.
func listening(t *testing.T, port int) {
	t.Helper()
	ok := eventually(15*time.Second, func() bool {
		c, err := net.DialTimeout("tcp", local(port), time.Second)
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

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
