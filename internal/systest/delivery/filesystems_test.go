//go:build system && long

package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestFileSystems is TestTwoMachines where the file system has its own troubles: daemons are killed and start again, a
// machine is cut off the network, and the smapds are killed. What was accepted is delivered; what is delivered again was
// interrupted.
func TestFileSystems(t *testing.T) {
	for _, fs := range []struct {
		name  string
		mount func(t *testing.T, s *kit.Site, a, b string) []trouble
		aside bool // files were set aside in one run, and nobody knows why: what they say is printed
	}{
		{"moosefs", mountMoose, false},
		{"glusterfs", mountGluster, true},
	} {
		t.Run(fs.name, func(t *testing.T) {
			s := kit.NewSite(t)
			a, b := s.File("a"), s.File("b")
			s.Mkdir(a, 0o755, 0, 0)
			s.Mkdir(b, 0o755, 0, 0)
			troubles := append(fs.mount(t, s, a, b), trouble{"network cut", func(t *testing.T) {
				t.Helper()
				kit.Run(t, "ip", "-n", "smt-server", "link", "set", "smt-a", "down")
				time.Sleep(5 * time.Second) // the cut's length
				kit.Run(t, "ip", "-n", "smt-server", "link", "set", "smt-a", "up")
			}})
			troubled(t, s, a, b, troubles, fs.aside)
		})
	}
}

// A fed is what one machine's feeder was told.
type fed struct {
	accepted []string
	refused  int
}

// submit feeds messages, one after the other, until it is told to stop.
func submit(t *testing.T, m *kit.Site, name string, stop <-chan struct{}) (f fed) {
	t.Helper()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return f
		default:
		}
		mark := fmt.Sprintf("%s%04d", name, i)
		sender, content := kit.Marked(mark)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // some file systems never answer after a trouble
		cmd := exec.CommandContext(ctx, kit.Program(t, "smapq"), "-d", m.Spool, "submit", "--as-is", "-f", sender, "bob@system.test")
		cmd.Stdin = strings.NewReader(content)
		err := cmd.Run()
		cancel()
		if err != nil {
			f.refused++
			time.Sleep(time.Second) // and the user tries something else
			continue
		}
		f.accepted = append(f.accepted, mark)
	}
}

func troubled(t *testing.T, s *kit.Site, a, b string, troubles []trouble, aside bool) {
	t.Helper()
	agent := kit.NewLedger(t, s, "")
	rules := []string{"smapd: log stderr", "smapd: wakeup 1", "smapd: maxchildren 2", "smapd: agent exec " + agent.Program}
	machines := []*kit.Site{machine(s, a, "a", rules...), machine(s, b, "b", rules...)}
	machines[0].MakeSpool()
	if !locksCross(t, machines[0].Path("tmp", "lock"), machines[1].Path("tmp", "lock")) {
		t.Fatal("a lock on one machine does not hold on the other: not for more than one drainer")
	}
	var all []*kit.Process
	drain := func(m *kit.Site) *kit.Process {
		p := kit.Start(t, kit.Program(t, "smapd"), "-c", m.Table)
		all = append(all, p)
		return p
	}
	smapds := []*kit.Process{drain(machines[0]), drain(machines[1])}
	stop := make(chan struct{})
	var feeds [2]fed
	var wg sync.WaitGroup
	for i, m := range machines {
		wg.Go(func() { feeds[i] = submit(t, m, string(rune('a'+i)), stop) })
	}
	delivered := func() int { return strings.Count(kit.ReadFile(t, s.File("ledger")), "\nend ") }
	goesOn := func(what string) {
		t.Helper()
		before := delivered()
		if !kit.Eventually(2*time.Minute, func() bool { return delivered() > before+20 }) {
			t.Errorf("after %s nothing is delivered", what)
		}
	}
	goesOn("the start")
	interruptions := 0
	for range 2 {
		for _, x := range troubles {
			x.do(t)
			goesOn(x.name)
			i := rand.IntN(2)
			smapds[i].Kill()
			smapds[i] = drain(machines[i])
			goesOn("the kill of a smapd")
			interruptions += 2
		}
	}
	close(stop)
	wg.Wait()
	machines[1].Drained(2 * time.Minute)
	ended := map[string]int{}
	for line := range strings.Lines(kit.ReadFile(t, s.File("ledger"))) {
		if words := strings.Fields(line); words[0] == "end" {
			ended[words[2]]++
		}
	}
	kept := ""
	for _, name := range machines[1].Names("bad") {
		b, _ := os.ReadFile(machines[1].Path("bad", name)) // unreadable is worth a line, too
		t.Logf("bad/%s: %s", name, kit.Tail(string(b), 600))
		kept += string(b)
	}
	if kept != "" && !aside {
		t.Error("mail was set aside")
	}
	for _, p := range all {
		for line := range strings.Lines(p.Log()) {
			if strings.Contains(line, " aside ") {
				t.Log(line)
			}
		}
	}
	again, accepted := 0, 0
	for _, f := range feeds {
		accepted += len(f.accepted)
		for _, mark := range f.accepted {
			if ended[mark] == 0 && !strings.Contains(kept, "body of "+mark+"\n") {
				t.Errorf("%s is lost", mark)
			}
		}
	}
	for _, n := range ended {
		again += n - 1
	}
	t.Logf("%d accepted, %d refused, %d delivered again, %d interruptions, %d set aside", accepted, feeds[0].refused+feeds[1].refused, again,
		interruptions, machines[1].Count("bad"))
	if again > interruptions*4 { // each smapd has two deliveries at a time
		t.Errorf("%d deliveries were repeated, %d can be explained", again, interruptions*4)
	}
}

// mountGluster serves a GlusterFS of three copies from one network namespace to two others, and mounts it from each.
func mountGluster(t *testing.T, s *kit.Site, a, b string) []trouble {
	t.Helper()
	kit.Run(t, kit.Tree(".ci", "need"), "glusterd=glusterfs-server")
	networks(t)
	dir := s.File("gluster")
	for _, sub := range []string{"", "/state", "/run", "/brick1", "/brick2", "/brick3"} {
		s.Mkdir(dir+sub, 0o755, 0, 0)
	}
	socket := dir + "/run/socket"
	volfile := s.Write(dir+"/glusterd.vol", "volume management\ntype mgmt/glusterd\noption working-directory "+dir+"/state\noption run-directory "+dir+
		"/run\noption glusterd-sockfile "+socket+"\noption transport-type socket\noption transport.socket.listen-port 24007\nend-volume\n", 0o644)
	startIn(t, "smt-server", "glusterd", "-N", "-f", volfile, "-l", dir+"/log", "-p", dir+"/pid")
	t.Cleanup(func() { // what glusterd started, by the names of their files
		for _, program := range []string{"glusterfsd", "glusterfs"} {
			for _, pid := range kit.Processes(t, program, dir) {
				syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // may be gone
			}
		}
	})
	gluster := func(words ...string) error {
		out, err := exec.Command("nsenter", append([]string{"--net=/run/netns/smt-server", "gluster", "--mode=script", "--glusterd-sock=" + socket}, words...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("gluster %v: %w: %s", words, err, out)
		}
		return nil
	}
	if !kit.Eventually(30*time.Second, func() bool { return gluster("volume", "info") == nil }) {
		t.Fatal(gluster("volume", "info"), kit.Tail(kit.ReadFile(t, dir+"/log"), 2000))
	}
	create := []string{"volume", "create", "smt", "replica", "3"}
	for i := range 3 {
		create = append(create, fmt.Sprintf("10.251.1.1:%s/brick%d", dir, i+1))
	}
	for _, words := range [][]string{append(create, "force"),
		// Open at once, so that a file can be locked that another machine moves. A request to a killed daemon fails after a while.
		{"volume", "set", "smt", "performance.open-behind", "off"},
		{"volume", "set", "smt", "network.frame-timeout", "30"},
		{"volume", "start", "smt"},
	} {
		if err := gluster(words...); err != nil {
			t.Fatal(err)
		}
	}
	for name, at := range map[string]string{"smt-a": a, "smt-b": b} {
		server := map[string]string{"smt-a": "10.251.1.1", "smt-b": "10.251.2.1"}[name]
		fuse(t, at, "nsenter", "--net=/run/netns/"+name, "glusterfs", "-N", "--volfile-server="+server, "--volfile-id=smt", "-l", dir+"/log-"+name, at)
	}
	return []trouble{{"a storage daemon killed", func(t *testing.T) {
		t.Helper()
		bricks := kit.Processes(t, "glusterfsd", fmt.Sprintf("%s/brick%d", dir, 1+rand.IntN(3)))
		if len(bricks) == 0 {
			t.Fatal("no storage daemon")
		}
		for _, pid := range bricks {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				t.Fatal(os.NewSyscallError("kill", err))
			}
		}
		time.Sleep(5 * time.Second) // it is away for so long
		if err := gluster("volume", "start", "smt", "force"); err != nil {
			t.Error(err)
		}
	}}}
}
