//go:build system

package systest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// writeAgent makes an agent of a few lines of shell.
func writeAgent(s *site, text string) string {
	return s.write(s.file("agent"), "#!/bin/sh\n"+text, 0o755)
}

// field is the value of a field in an envelope of the spool, "" when the file or the field is not there.
func (s *site) field(box, id, name string) string {
	b, _ := os.ReadFile(s.path(box, id+".envelope")) // gone is an answer too
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSuffix(value, "\n")
		}
	}
	return ""
}

// TestExitCodes has a real program end with each of the 256 exit codes, and compares what becomes of its message with the
// manual's table: 0 is delivered, four codes are failures for good, all others mean to try again.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := writeAgent(s, "code=${SMAP_SENDER%@*}\nexit \"${code#code}\"\n")
	s.rules("smapd: log stderr", "smapd: badadmin none", "smapd: retry 3600", "smapd: agent exec "+agent)
	feeder := ownFeeder(t, s.spool)
	for code := range 256 {
		feeder.pair(fmt.Sprintf("code%d", code), "bob@system.test")
	}
	start(t, program(t, "smapd"), "-c", s.table)
	outcome := func(code int) string {
		id := fmt.Sprintf("code%d", code)
		switch {
		case s.field("cur", id, "Attempts") == "1" && strings.HasPrefix(s.field("cur", id, "Last-Error"), fmt.Sprintf("exit %d", code)):
			return "deferred"
		case strings.Contains(s.field("bad", id, "Failed"), fmt.Sprintf(" exit %d", code)) &&
			strings.Contains(s.field("bad", id, "Set-Aside"), fmt.Sprintf("exit %d", code)):
			return "failed"
		case s.field("new", id, "Sender")+s.field("cur", id, "Sender")+s.field("bad", id, "Sender") == "":
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
		if !eventually(20*time.Second, func() bool { return outcome(code) == want }) {
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

// TestAgentTroubles: an agent that hangs and is deaf, dies of a signal, prints megabytes, or leaves a child behind that
// holds its output. Each message is deferred with the reason; the others are delivered meanwhile.
func TestAgentTroubles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	uid, gid := ids(t, smapdUser)
	s.mkdir(s.file("state"), 0o755, uid, gid)
	agent := writeAgent(s, strings.ReplaceAll(troublesScript, "DIR", s.file("state")))
	s.rules("smapd: log stderr", "smapd: retry 3600", "smapd: agent-timeout 3", "smapd: agent exec "+agent)
	feeder := ownFeeder(t, s.spool)
	want := map[string]string{"hang": "agent timeout", "signal": "killed by signal 11", "much": "the end", "daemon": "exit 75"}
	for mark := range want {
		feeder.pair(mark, "bob@system.test")
	}
	daemon := start(t, program(t, "smapd"), "-c", s.table)
	t.Cleanup(func() { syscall.Kill(pidIn(t, s.file("state", "daemon")), syscall.SIGKILL) }) //nolint:errcheck // if it is there
	feeder.pair("good", "bob@system.test")
	for mark, text := range want {
		if !eventually(30*time.Second, func() bool { return strings.Contains(s.field("cur", mark, "Last-Error"), text) }) {
			t.Errorf("%s: Last-Error %q, want %q in it", mark, s.field("cur", mark, "Last-Error"), text)
		}
	}
	if !eventually(5*time.Second, func() bool { return strings.Contains(daemon.log(), "finished id=good") }) {
		t.Error("the good message was not delivered")
	}
	if n := len(s.field("cur", "much", "Last-Error")); n > 1000 {
		t.Errorf("Last-Error has %d octets", n)
	}
	for _, pid := range daemon.children() {
		if kib := memory(t, pid, "VmHWM"); kib > 64<<10 {
			t.Errorf("process %d took %d KiB for 80 MB of output", pid, kib)
		}
	}
	hanging := pidIn(t, s.file("state", "hanging"))
	if !eventually(10*time.Second, func() bool { return syscall.Kill(-hanging, 0) == syscall.ESRCH }) {
		t.Errorf("something of process group %d is left", hanging)
	}
}

// pidIn reads a process id that a script has written into a file.
func pidIn(t *testing.T, path string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(readFile(t, path)))
	if err != nil || pid < 2 {
		t.Fatalf("%s holds no process id: %v", path, err)
	}
	return pid
}

// TestAgentMissing: an agent that is not there, then not executable, then there. That is nobody's mail's fault: said
// once, no attempt is counted, and all is delivered once it is healed.
func TestAgentMissing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := newLedger(t, s, "")
	away := s.file("away")
	if err := os.Rename(agent.program, away); err != nil {
		t.Fatal(err)
	}
	s.rules("smapd: log stderr", "smapd: agent exec "+agent.program)
	feeder := ownFeeder(t, s.spool)
	var marks []string
	for i := range 20 {
		marks = append(marks, fmt.Sprintf("m%d", i))
		feeder.pair(marks[i], "bob@system.test")
	}
	daemon := start(t, program(t, "smapd"), "-c", s.table)
	said := func(event string) int { return strings.Count(daemon.log(), event) }
	if !eventually(10*time.Second, func() bool { return said(" trouble what=agent") == 1 }) {
		t.Error("the log does not say that the agent is in trouble")
	}
	if err := os.Chmod(away, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, agent.program); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second) // several probes
	if n := said(" trouble what=agent"); n != 1 {
		t.Errorf("trouble was said %d times", n)
	}
	for _, mark := range marks {
		for _, box := range []string{"new", "cur"} {
			if got := s.field(box, mark, "Attempts"); got != "" {
				t.Errorf("%s: %s attempts were counted", mark, got)
			}
		}
	}
	if err := os.Chmod(agent.program, 0o755); err != nil {
		t.Fatal(err)
	}
	s.drained(30 * time.Second)
	agent.exactly(marks)
	if n := said(" healed what=agent"); n != 1 {
		t.Errorf("healed was said %d times", n)
	}
}
