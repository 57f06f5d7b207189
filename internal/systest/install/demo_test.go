//go:build system

package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestDemo runs make demo as a new user would: without root, in a clone of this tree, with nothing built before. It
// must leave nothing running and nothing behind. Go's first build of its own library, which takes from half a minute to more
// than one, is done before, so that the minute that the demo takes at most is its own. It is a minute of the processors:
// what else this machine has to do is not the demo's.
func TestDemo(t *testing.T) {
	// Alone: with others beside it on two processors the time in the log would be theirs.
	s := kit.NewSite(t)
	who := kit.NewPerson(t, s.Dir, "smt-demo")
	tree := filepath.Join(who.Home, "smap")
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	// The files as they are now, committed or not.
	kit.Run(t, "sh", "-c", `cd "$1" && mkdir "$2" && tar -cf - --exclude=./.git --exclude=./bin --exclude=./build . | tar -xf - -C "$2"`,
		"sh", root, tree)
	kit.Run(t, "chown", "-R", who.Name, who.Home)
	temp := filepath.Join(who.Home, "tmp")
	s.Mkdir(temp, 0o700, who.Uid, who.Gid)

	// The modules are on this machine already; a new user would have to wait for the network.
	modules := strings.TrimSpace(kit.Run(t, "go", "env", "GOMODCACHE"))
	mirror := filepath.Join(who.Home, "modules")
	kit.Run(t, "cp", "-r", filepath.Join(modules, "cache", "download"), mirror)
	kit.Run(t, "chown", "-R", who.Name, mirror)

	build := func(target string) (out string, took, cpu time.Duration) {
		t.Helper()
		cmd := exec.Command("make", target)
		cmd.Dir = tree
		cmd.Env = []string{"HOME=" + who.Home, "PATH=" + os.Getenv("PATH") + ":/usr/local/go/bin", "TMPDIR=" + temp,
			"GOPROXY=file://" + mirror, "GOSUMDB=off", "GOFLAGS=-modcacherw"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(who.Uid), Gid: uint32(who.Gid)}}
		began := time.Now()
		text, err := cmd.CombinedOutput()
		took, cpu = time.Since(began), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
		t.Logf("make %s took %v, and %v of the processors", target, took.Round(time.Millisecond), cpu.Round(time.Millisecond))
		if err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, kit.Tail(string(text), 6000))
		}
		return string(text), took, cpu
	}
	build("build")
	// The modules came with it, and what was built is kept, but not the programs: the demo is to make them.
	if err := os.RemoveAll(filepath.Join(tree, "bin")); err != nil {
		t.Fatal(err)
	}
	out, took, cpu := build("demo")
	if cpu > time.Minute || took > 10*time.Minute {
		t.Errorf("make demo took %v, and %v of the processors", took, cpu)
	}
	for _, want := range []string{"This came over the network.", "This came from a shell.", "The spool holds 0 files"} {
		if !strings.Contains(out, want) {
			t.Errorf("make demo did not show %q:\n%s", want, kit.Tail(out, 6000))
		}
	}
	for _, word := range []string{"warning", "trouble", "securityalert"} {
		if strings.Contains(out, word) {
			t.Errorf("make demo shows a newcomer %q:\n%s", word, kit.Tail(out, 6000))
		}
	}
	if out, err := exec.Command("pgrep", "-u", who.Name, "-a").Output(); err == nil {
		t.Errorf("left running:\n%s", out)
	}
	left, err := filepath.Glob(filepath.Join(temp, "smap-demo*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
