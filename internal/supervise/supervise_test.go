package supervise

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is also its own children: SUPERVISE_CHILD says what one does.
func TestMain(m *testing.M) {
	if what := os.Getenv("SUPERVISE_CHILD"); what != "" {
		os.Exit(childMain(what))
	}
	os.Exit(m.Run())
}

func childMain(what string) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGUSR1)
	line := Attach(4) // 3 is the test's own
	say := func(text string) { fmt.Fprintf(os.NewFile(3, "out"), "%d %s\n", os.Getpid(), text) }
	switch what {
	case "broken":
		say("broken")
		return 78
	case "deaf": // never reads, never ends when it is told to
		say("deaf")
		_ = line.Ready()
		for range signals {
			say("signal")
		}
	case "parent": // has a child of its own, and dies
		return orphaning(say)
	}
	if what == "echo" {
		text, err := bufio.NewReader(line).ReadString('\n')
		if err != nil {
			return 70
		}
		say("told " + strings.TrimSpace(text))
	}
	say("ready")
	_ = line.Ready()
	if what == "alive" {
		go func() {
			for line.Alive() == nil {
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
	gone := make(chan struct{})
	go func() {
		line.Await()
		close(gone)
	}()
	for {
		select {
		case <-gone:
			say("parent gone")
			return 0
		case s := <-signals:
			say(s.String())
			if s == unix.SIGTERM {
				return 3
			}
		}
	}
}

// orphaning starts a child as a parent and ends without a word to it.
func orphaning(say func(string)) int {
	events := make(chan event, 2)
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"SUPERVISE_CHILD=plain"}
	cmd.ExtraFiles = []*os.File{os.NewFile(3, "out")}
	if _, err := begin(cmd, events, false); err != nil {
		return 71
	}
	<-events
	say("dies")
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	return 0
}

// A harness runs a Parent whose children say what they do on a pipe.
type harness struct {
	t       *testing.T
	signals chan os.Signal
	out     *bufio.Scanner
	log     *logBuffer
	done    chan struct{}
	code    int
	err     error
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func supervise(t *testing.T, p Parent, kinds ...string) *harness {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := in.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, signals: make(chan os.Signal, 8), out: bufio.NewScanner(in), log: new(logBuffer), done: make(chan struct{})}
	p.Log = slog.New(slog.NewTextHandler(h.log, nil))
	if p.Grace == 0 {
		p.Grace = 20 * time.Second
	}
	p.Command = func() (*exec.Cmd, error) {
		kind := kinds[0]
		if len(kinds) > 1 {
			kinds = kinds[1:]
		}
		if kind == "none" {
			return nil, errors.New("no such program")
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{"SUPERVISE_CHILD=" + kind}
		cmd.ExtraFiles = []*os.File{out}
		return cmd, nil
	}
	go func() {
		defer close(h.done)
		h.code, h.err = p.Run(h.signals)
	}()
	t.Cleanup(func() {
		h.signals <- unix.SIGTERM
		<-h.done
		if err := errors.Join(in.Close(), out.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// says waits for the children's next line, and returns who said it.
func (h *harness) says(want string) int {
	h.t.Helper()
	if !h.out.Scan() {
		h.t.Fatalf("no %q: %v; log:\n%s", want, h.out.Err(), h.log)
	}
	var pid int
	_, err := fmt.Sscan(h.out.Text(), &pid)
	if got := strings.TrimPrefix(h.out.Text(), fmt.Sprint(pid, " ")); err != nil || got != want {
		h.t.Fatalf("a child says %q, want %q; log:\n%s", h.out.Text(), want, h.log)
	}
	return pid
}

// ready waits until a child is at work and the parent knows it.
func (h *harness) ready() int {
	h.t.Helper()
	pid := h.says("ready")
	h.logged(fmt.Sprintf("msg=ready pid=%d\n", pid))
	return pid
}

func (h *harness) ends(code int) {
	h.t.Helper()
	select {
	case <-h.done:
	case <-time.After(30 * time.Second):
		h.t.Fatalf("does not end; log:\n%s", h.log)
	}
	if h.err != nil || h.code != code {
		h.t.Errorf("ends with %d, %v; want %d; log:\n%s", h.code, h.err, code, h.log)
	}
}

func (h *harness) logged(text string) {
	h.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(h.log.String(), text) {
			return
		}
	}
	h.t.Fatalf("no %q in the log:\n%s", text, h.log)
}

func TestTerm(t *testing.T) {
	h := supervise(t, Parent{}, "plain")
	h.ready()
	h.signals <- unix.SIGTERM
	h.says("terminated")
	h.ends(3)
}

func TestFirstChildFails(t *testing.T) {
	h := supervise(t, Parent{}, "broken")
	h.says("broken")
	h.ends(78)
}

func TestFirstStartFails(t *testing.T) {
	h := supervise(t, Parent{}, "none")
	<-h.done
	if h.err == nil {
		t.Error("no error")
	}
}

func TestRestart(t *testing.T) {
	readies := 0
	h := supervise(t, Parent{Ready: func() { readies++ }}, "plain", "none", "plain")
	pid := h.ready()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.logged("child-died")
	h.logged("no such program") // and goes on
	if again := h.ready(); again == pid {
		t.Error("the same child")
	}
	h.signals <- unix.SIGTERM
	h.says("terminated")
	h.ends(3)
	if readies != 1 {
		t.Errorf("Ready was called %d times", readies)
	}
}

func TestReloadReplaces(t *testing.T) {
	h := supervise(t, Parent{}, "plain")
	first := h.ready()
	h.signals <- unix.SIGHUP
	second := h.ready()
	if last := h.says("terminated"); last != first || second == first {
		t.Errorf("%d and %d were ready, %d was told to end", first, second, last)
	}
	h.signals <- unix.SIGUSR1
	if got := h.says("user defined signal 1"); got != second {
		t.Errorf("USR1 went to %d, not to %d", got, second)
	}
}

func TestReloadFails(t *testing.T) {
	h := supervise(t, Parent{}, "plain", "broken", "plain")
	first := h.ready()
	h.signals <- unix.SIGHUP
	h.says("broken")
	h.logged("reload-failed")
	h.signals <- unix.SIGHUP // the mistake has been mended
	h.ready()
	if last := h.says("terminated"); last != first {
		t.Errorf("%d was told to end, not %d, which had served on", last, first)
	}
}

func TestReloadRefused(t *testing.T) {
	asked := make(chan bool, 1)
	h := supervise(t, Parent{Reload: func() (bool, error) {
		asked <- true
		return true, errors.New("bad table")
	}}, "plain")
	pid := h.ready()
	h.signals <- unix.SIGHUP
	<-asked
	h.signals <- unix.SIGUSR1
	if got := h.says("user defined signal 1"); got != pid {
		t.Error("another child")
	}
}

// A reload while nobody is at work does not wait for the next restart.
func TestReloadHelpsAtOnce(t *testing.T) {
	h := supervise(t, Parent{}, "plain", "broken", "broken", "plain")
	if err := unix.Kill(h.ready(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.says("broken")
	h.signals <- unix.SIGHUP
	h.says("broken")
	h.signals <- unix.SIGHUP
	h.ready()
}

func TestTell(t *testing.T) {
	rules := "one"
	h := supervise(t, Parent{
		Tell:   func(w io.Writer) error { _, err := io.WriteString(w, rules+"\n"); return err },
		Reload: func() (bool, error) { rules = "two"; return true, nil },
	}, "echo")
	h.says("told one")
	h.ready()
	h.signals <- unix.SIGHUP
	h.says("told two")
	h.ready()
	h.says("terminated")
}

func TestTellWithoutAnother(t *testing.T) {
	told := make(chan bool, 8)
	h := supervise(t, Parent{
		Tell:   func(io.Writer) error { told <- true; return nil },
		Reload: func() (bool, error) { return false, nil },
	}, "plain")
	pid := h.ready()
	<-told
	h.signals <- unix.SIGHUP
	<-told
	h.signals <- unix.SIGTERM
	if got := h.says("terminated"); got != pid {
		t.Error("another child")
	}
}

func TestTellFails(t *testing.T) {
	first := true
	h := supervise(t, Parent{Tell: func(io.Writer) error {
		if first {
			first = false
			return errors.New("broken line")
		}
		return nil
	}}, "deaf", "plain")
	h.logged("child-rules")
	h.logged("child-died")
	for h.out.Scan() && !strings.HasSuffix(h.out.Text(), "ready") { // the first may have come to say something
	}
}

func TestOnce(t *testing.T) {
	h := supervise(t, Parent{Once: true}, "plain")
	if err := unix.Kill(h.ready(), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	h.says("terminated")
	h.ends(3)
}

func TestGrace(t *testing.T) {
	h := supervise(t, Parent{Grace: 50 * time.Millisecond}, "deaf")
	h.says("deaf")
	h.logged("msg=ready")
	h.signals <- unix.SIGTERM
	h.says("signal")
	h.ends(0)
}

// TestAlive: the word that all is well is the child's, while there is one.
func TestAlive(t *testing.T) {
	var n atomic.Int64
	p := Parent{Alive: func() { n.Add(1) }, Beat: 30 * time.Millisecond}
	h := supervise(t, p, "alive")
	pid := h.ready()
	more := func() {
		t.Helper()
		was := n.Load()
		for end := time.Now().Add(20 * time.Second); n.Load() < was+3; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("no word")
			}
		}
	}
	more()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// What was on its way is heard; then there is silence.
	for end := time.Now().Add(20 * time.Second); ; {
		was := n.Load()
		time.Sleep(300 * time.Millisecond)
		if n.Load() == was {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the child stands still, and the parent says that all is well")
		}
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.logged("child-died")
	more()
}

// A child learns of its parent's death, of whatever kind.
func TestOrphan(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"SUPERVISE_CHILD=parent"}
	cmd.ExtraFiles = []*os.File{out}
	err = cmd.Run()
	if err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the parent was not killed: %v", err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(in) // until the child has ended, too
	if err != nil || !strings.Contains(string(said), "parent gone") {
		t.Errorf("%q, %v", said, err)
	}
}
