//go:build system

package delivery

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// again starts a server in a network namespace, and once more when it was killed. It ends with the test, after what mounts it.
func again(t *testing.T, network string, words ...string) *kit.Process {
	t.Helper()
	return startIn(t, network, append([]string{"sh", "-c", `while :; do "$@"; sleep 3; done`, "sh"}, words...)...)
}

// killed kills the server that again started.
func killed(t *testing.T, p *kit.Process) {
	t.Helper()
	for _, pid := range kit.Family(p.Cmd.Process.Pid)[1:] {
		syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // the shell may be between two
	}
}

// A trouble is something that happens to a file system, from its begin to its end.
type trouble struct {
	name string
	do   func(t *testing.T)
}

// mountMoose serves a MooseFS, which is a real network file system in programs of Debian's, from one network namespace to
// two others, and mounts it from each of these.
func mountMoose(t *testing.T, s *kit.Site, a, b string) []trouble {
	t.Helper()
	networks(t)
	dir := s.File("moose")
	for _, sub := range []string{"", "/master", "/chunk", "/data"} {
		s.Mkdir(dir+sub, 0o755, 0, 0)
	}
	common := "WORKING_USER = root\nWORKING_GROUP = root\n"
	s.Write(dir+"/exports", "10.251.0.0/16 / rw,maproot=0:0\n", 0o644)
	s.Write(dir+"/topology", "", 0o644)
	s.Write(dir+"/hdd", dir+"/data\n", 0o644)
	s.Write(dir+"/master/metadata.mfs", kit.ReadFile(t, "/var/lib/mfs/metadata.mfs.empty"), 0o644)
	master := s.Write(dir+"/master.cfg", common+"DATA_PATH = "+dir+"/master\nEXPORTS_FILENAME = "+dir+"/exports\n"+
		"TOPOLOGY_FILENAME = "+dir+"/topology\n", 0o644)
	chunk := s.Write(dir+"/chunk.cfg", common+"DATA_PATH = "+dir+"/chunk\nHDD_CONF_FILENAME = "+dir+"/hdd\n"+
		"HDD_LEAVE_SPACE_DEFAULT = 16MiB\nMASTER_HOST = 10.251.1.1\n", 0o644)
	// -a: what a killed one had not written is in its log of changes.
	said := again(t, "smt-server", "mfsmaster", "-c", master, "-a", "-f", "start")
	wait := func(p *kit.Process, text string) {
		t.Helper()
		if !kit.Eventually(20*time.Second, func() bool { return strings.Contains(p.Log(), text) }) {
			t.Fatalf("%s does not say %q", p.Cmd.Path, text)
		}
	}
	wait(said, "initialized properly")
	chunks := again(t, "smt-server", "mfschunkserver", "-c", chunk, "-f", "start")
	wait(said, "chunkserver register end")
	fuse(t, a, "nsenter", "--net=/run/netns/smt-a", "mfsmount", "-f", a, "-o", "mfsmaster=10.251.1.1")
	fuse(t, b, "nsenter", "--net=/run/netns/smt-b", "mfsmount", "-f", b, "-o", "mfsmaster=10.251.2.1")
	return []trouble{
		{"the master killed", func(t *testing.T) { t.Helper(); killed(t, said) }},
		{"the chunk server killed", func(t *testing.T) { t.Helper(); killed(t, chunks) }},
	}
}

// networks makes a server's network namespace and two others, each with a wire to the server.
func networks(t *testing.T) {
	t.Helper()
	for _, name := range []string{"smt-server", "smt-a", "smt-b"} {
		if _, err := os.Stat("/run/netns/" + name); err == nil {
			kit.Run(t, "ip", "netns", "del", name) // of a run that was killed
		}
		kit.Run(t, "ip", "netns", "add", name)
		kit.Run(t, "ip", "-n", name, "link", "set", "lo", "up") // programs of one machine talk to each other
		t.Cleanup(func() {
			if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
				t.Errorf("ip netns del: %v: %s", err, out)
			}
		})
	}
	for name, net := range map[string]string{"smt-a": "10.251.1.", "smt-b": "10.251.2."} {
		for _, args := range []string{
			"link add " + name + " netns smt-server type veth peer name wire netns " + name,
			"-n smt-server addr add " + net + "1/24 dev " + name,
			"-n " + name + " addr add " + net + "2/24 dev wire",
			"-n smt-server link set " + name + " up",
			"-n " + name + " link set wire up",
			"-n " + name + " route add default via " + net + "1",
		} {
			kit.Run(t, "ip", strings.Fields(args)...)
		}
	}
}

// startIn starts a server in a network namespace.
func startIn(t *testing.T, name string, args ...string) *kit.Process {
	t.Helper()
	return kit.Start(t, "nsenter", append([]string{"--net=/run/netns/" + name}, args...)...)
}

// fuse starts a program that mounts there, and waits for it.
func fuse(t *testing.T, at, name string, args ...string) {
	t.Helper()
	kit.Start(t, name, args...)
	t.Cleanup(func() { // before the program is ended
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", at, err, out)
		}
	})
	if !kit.Eventually(15*time.Second, func() bool { return exec.Command("mountpoint", "-q", at).Run() == nil }) {
		t.Fatalf("%s does not mount %s", name, at)
	}
}
