//go:build system

package delivery

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/courier"
	"smap/internal/systest/kit"
)

// TestExitCodes has a real program end with each of the 256 exit codes, and compares what becomes of its message with the
// manual's table: 0 is delivered, four codes are failures for good, all others mean to try again.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.WriteAgent(s, "code=${SMAP_SENDER%@*}\nexit \"${code#code}\"\n")
	s.Rules("smapd: log stderr", "smapd: badadmin none", "smapd: retry 3600", "smapd: agent exec "+agent)
	feeder := kit.OwnFeeder(t, s.Spool)
	for code := range 256 {
		feeder.Pair(fmt.Sprintf("code%d", code), "bob@system.test")
	}
	kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	outcome := func(code int) string {
		id := fmt.Sprintf("code%d", code)
		switch {
		case s.Field("cur", id, "Attempts") == "1" && strings.HasPrefix(s.Field("cur", id, "Last-Error"), fmt.Sprintf("exit %d", code)):
			return "deferred"
		case strings.Contains(s.Field("bad", id, "Failed"), fmt.Sprintf(" exit %d", code)) &&
			strings.Contains(s.Field("bad", id, "Set-Aside"), fmt.Sprintf("exit %d", code)):
			return "failed"
		case s.Field("new", id, "Sender")+s.Field("cur", id, "Sender")+s.Field("bad", id, "Sender") == "":
			return "delivered"
		}
		return "none of the three"
	}
	for code := range 256 {
		want := "deferred"
		switch code {
		case 0:
			want = "delivered"
		case 65, 67, 68, 100:
			want = "failed"
		}
		if !kit.Eventually(20*time.Second, func() bool { return outcome(code) == want }) {
			t.Errorf("exit %d: %s, want %s", code, outcome(code), want)
		}
	}
}

const troublesScript = `case $SMAP_SENDER in
hang@*)
	trap '' TERM
	echo $$ >DIR/hanging
	sleep 600 &
	sleep 600 ;;
signal@*)
	kill -s SEGV $$ ;;
much@*)
	head -c 40000000 /dev/zero | tr '\0' x
	head -c 40000000 /dev/zero | tr '\0' y >&2
	echo; echo the end
	exit 75 ;;
daemon@*)
	sleep 600 &
	echo $! >DIR/daemon
	exit 75 ;;
esac
`

// TestAgentTroubles: an agent that dies of a signal, prints megabytes, or leaves a child behind that holds its output.
// Each message is deferred with the reason; the others are delivered meanwhile.
func TestAgentTroubles(t *testing.T) {
	t.Parallel()
	s, daemon := troubles(t, "", map[string]string{"signal": "killed by signal 11", "much": "the end", "daemon": "exit 75"})
	t.Cleanup(func() { syscall.Kill(pidIn(t, s.File("state", "daemon")), syscall.SIGKILL) }) //nolint:errcheck // if it is there
	if n := len(s.Field("cur", "much", "Last-Error")); n > 1000 {
		t.Errorf("Last-Error has %d octets", n)
	}
	for _, pid := range daemon.Children() {
		if kib := kit.Memory(t, pid, "VmHWM"); kib > 64<<10 {
			t.Errorf("process %d took %d KiB for 80 MB of output", pid, kib)
		}
	}
}

// TestAgentHangs: an agent that hangs and is deaf ends at the agent timeout, with all that it started.
func TestAgentHangs(t *testing.T) {
	t.Parallel()
	s, _ := troubles(t, "smapd: agent-timeout 3", map[string]string{"hang": "agent timeout"})
	hanging := pidIn(t, s.File("state", "hanging"))
	if !kit.Eventually(10*time.Second, func() bool { return syscall.Kill(-hanging, 0) == syscall.ESRCH }) {
		t.Errorf("something of process group %d is left", hanging)
	}
}

// troubles runs smapd until each message, which is named after its trouble, has its Last-Error, and a good one is
// delivered.
func troubles(t *testing.T, rule string, want map[string]string) (*kit.Site, *kit.Process) {
	t.Helper()
	s := kit.NewSite(t)
	uid, gid := kit.IDs(t, kit.SmapdUser)
	s.Mkdir(s.File("state"), 0o755, uid, gid)
	agent := kit.WriteAgent(s, strings.ReplaceAll(troublesScript, "DIR", s.File("state")))
	s.Rules("smapd: log stderr", "smapd: retry 3600", rule, "smapd: agent exec "+agent)
	feeder := kit.OwnFeeder(t, s.Spool)
	for mark := range want {
		feeder.Pair(mark, "bob@system.test")
	}
	daemon := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	feeder.Pair("good", "bob@system.test")
	for mark, text := range want {
		if !kit.Eventually(30*time.Second, func() bool { return strings.Contains(s.Field("cur", mark, "Last-Error"), text) }) {
			t.Errorf("%s: Last-Error %q, want %q in it", mark, s.Field("cur", mark, "Last-Error"), text)
		}
	}
	if !kit.Eventually(30*time.Second, func() bool { return strings.Contains(daemon.Log(), "finished id=good") }) {
		t.Error("the good message was not delivered")
	}
	return s, daemon
}

// pidIn reads a process id that a script has written into a file.
func pidIn(t *testing.T, path string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(kit.ReadFile(t, path)))
	if err != nil || pid < 2 {
		t.Fatalf("%s holds no process id: %v", path, err)
	}
	return pid
}

// TestAgentMissing: an agent that is not there, then not executable, then there. That is nobody's mail's fault: said
// once, no attempt is counted, and all is delivered once it is healed.
func TestAgentMissing(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewLedger(t, s, "")
	away := s.File("away")
	if err := os.Rename(agent.Program, away); err != nil {
		t.Fatal(err)
	}
	s.Rules("smapd: log stderr", "smapd: agent exec "+agent.Program)
	feeder := kit.OwnFeeder(t, s.Spool)
	var marks []string
	for i := range 20 {
		marks = append(marks, fmt.Sprintf("m%d", i))
		feeder.Pair(marks[i], "bob@system.test")
	}
	daemon := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	said := func(event string) int { return strings.Count(daemon.Log(), event) }
	if !kit.Eventually(10*time.Second, func() bool { return said(" trouble what=agent") == 1 }) {
		t.Error("the log does not say that the agent is in trouble")
	}
	list := func() int { // messages with the reason, also those that were not tried
		return strings.Count(kit.Run(t, kit.Program(t, "smapq"), "-d", s.Spool, "list", "--json"), "no such file or directory")
	}
	if !kit.Eventually(10*time.Second, func() bool { return list() == len(marks) }) {
		t.Errorf("smapq list says why %d of %d messages wait", list(), len(marks))
	}
	if err := os.Chmod(away, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, agent.Program); err != nil {
		t.Fatal(err)
	}
	kit.Stays(t, 2*time.Second, "one line about trouble, in the time of several probes", func() bool { return said(" trouble what=agent") == 1 })
	for _, mark := range marks {
		for _, box := range []string{"new", "cur"} {
			if got := s.Field(box, mark, "Attempts"); got != "" {
				t.Errorf("%s: %s attempts were counted", mark, got)
			}
		}
	}
	if err := os.Chmod(agent.Program, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Drained(30 * time.Second)
	agent.Exactly(marks)
	if !kit.Eventually(10*time.Second, func() bool { _, err := os.Stat(courier.ShutFile(s.Spool)); return errors.Is(err, fs.ErrNotExist) }) {
		t.Error("the file that says what mail waits for is left")
	}
	if n := said(" healed what=agent"); n != 1 {
		t.Errorf("healed was said %d times", n)
	}
}
