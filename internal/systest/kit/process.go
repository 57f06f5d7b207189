//go:build system

package kit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Processes finds processes by their program's name and a word among their arguments.
func Processes(t *testing.T, name, argument string) []int {
	t.Helper()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.TrimSpace(string(comm)) == name && strings.Contains(string(line), argument) {
			found = append(found, pid)
		}
	}
	return found
}

// Head is the beginning of a text, of at most n octets.
func Head(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}

// Process is a server that a test has started; its output is kept.
type Process struct {
	t    *testing.T
	Cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer
	Done chan struct{}
}

func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// Log is everything the process has written so far.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// Start runs a server until the test ends. It leads a process group, so that nothing it started can outlive the test.
func Start(t *testing.T, name string, args ...string) *Process {
	t.Helper()
	return StartCommand(t, exec.Command(name, args...))
}

// StartCommand is Start for a command that is made already.
func StartCommand(t *testing.T, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, Cmd: cmd, Done: make(chan struct{})}
	p.Cmd.Stdout, p.Cmd.Stderr = p, p
	if p.Cmd.SysProcAttr == nil {
		p.Cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	p.Cmd.SysProcAttr.Setpgid = true
	p.Cmd.WaitDelay = 2 * time.Second
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.Done)
		p.Cmd.Wait() //nolint:errcheck // stop looks at ProcessState
	}()
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", p.Cmd.Path, Tail(p.Log(), 8000))
		}
	})
	return p
}

// Tail is the end of a text, of at most n octets.
func Tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// Stop asks with TERM, and insists after a while; it returns the exit code.
func (p *Process) Stop() int {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Done:
	case <-time.After(40 * time.Second): // smapd's grace is 20 for outcomes that cannot be written
		p.t.Errorf("%s did not end on TERM", p.Cmd.Path)
	}
	p.Kill()
	return p.Cmd.ProcessState.ExitCode()
}

// Kill ends the whole process group at once, as a power switch would.
func (p *Process) Kill() {
	syscall.Kill(-p.Cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // may be gone
	<-p.Done
}

// Signal sends a signal to the process itself.
func (p *Process) Signal(sig syscall.Signal) {
	syscall.Kill(p.Cmd.Process.Pid, sig) //nolint:errcheck // may be gone
}

// Children are the processes that it and its children have started, itself first.
func (p *Process) Children() []int { return Family(p.Cmd.Process.Pid) }

// Family is a process and its children and theirs.
func Family(pid int) []int {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		// Each thread has children of its own.
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[i]))
		for _, task := range tasks {
			b, _ := os.ReadFile(task) // the thread may have ended
			for _, f := range strings.Fields(string(b)) {
				if pid, err := strconv.Atoi(f); err == nil {
					all = append(all, pid)
				}
			}
		}
	}
	return all
}

// Run runs a command to its end and wants it to succeed.
func Run(t *testing.T, name string, args ...string) string {
	t.Helper()
	return feed(t, "", name, args...)
}

// feed is Run with something on standard input.
func feed(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	return feedLong(t, 5*time.Minute, input, name, args...)
}

// RunLong is Run for what takes longer than five minutes.
func RunLong(t *testing.T, limit time.Duration, name string, args ...string) string {
	t.Helper()
	return feedLong(t, limit, "", name, args...)
}

func feedLong(t *testing.T, limit time.Duration, input, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, Tail(string(out), 4000))
	}
	return string(out)
}

// As runs a command as one of our accounts, with a group.
func As(t *testing.T, uid, gid int, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Memory is a value in KiB from /proc/PID/status, VmRSS or VmHWM for example.
func Memory(t *testing.T, pid int, key string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s for process %d", key, pid)
	return 0
}

// ChildOf waits until a process has a child that is not this one; 0 when it gets none.
func ChildOf(parent, not int) (child int) {
	Eventually(4*time.Second, func() bool {
		tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", parent))
		for _, task := range tasks {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", parent, task.Name()))
			for _, word := range strings.Fields(string(b)) {
				if n, err := fmt.Sscan(word, &child); n == 1 && err == nil && child != not {
					return true
				}
			}
		}
		child = 0
		return false
	})
	return child
}
