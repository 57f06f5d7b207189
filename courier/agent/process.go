package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// maxOutput is how much of an agent's output is kept: its end, which
	// has the reason.
	maxOutput = 2048
	// killGrace is the time between asking a process group to end and ending
	// it.
	killGrace = 5 * time.Second
	// outputGrace is how long output is read after the program has ended: its
	// children may keep the pipe open.
	outputGrace = 50 * time.Millisecond
	// shortAgent is how long the end of the output is awaited as the program's end.
	shortAgent = 50 * time.Millisecond
)

// baseEnv is the environment of all programs, besides the variables that describe the
// message. They inherit nothing of ours.
var baseEnv = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/",
	"LC_ALL=C",
}

// runProgram starts a program without a shell, in a process group of its own,
// with the content on standard input, and waits for it. Its group is ended when
// the context is done first.
func runProgram(ctx context.Context, agent string, argv, env []string, job *Job) ([]Result, error) {
	if err := context.Cause(ctx); err != nil {
		return job.Same(Result{Text: err.Error()}), nil
	}
	stdin, err := job.Open()
	if err != nil {
		return nil, &ContentError{Err: err}
	}
	defer stdin.Close() // only read
	out, err := newCapture()
	if err != nil {
		return nil, &StartError{Agent: agent, Err: err}
	}
	cmd := &exec.Cmd{
		Path: argv[0], Args: argv, Env: append(env, baseEnv...), Dir: "/",
		Stdin: stdin, Stdout: out.w, Stderr: out.w,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if job.Lock != nil {
		cmd.ExtraFiles = []*os.File{job.Lock}
	}
	err = cmd.Start()
	out.started()
	if err != nil {
		out.text()
		if errors.Is(err, syscall.E2BIG) { // this message's arguments, not the program
			return job.Same(Result{Text: fmt.Sprintf("start: %v", err)}), nil
		}
		return nil, &StartError{Agent: agent, Err: err}
	}
	stop := context.AfterFunc(ctx, func() { killGroup(cmd.Process.Pid, cmd) })
	out.await()
	err = wait(ctx, cmd, killGrace+stayGrace)
	if errors.Is(err, errStays) {
		out.abandon()
		return job.Same(Result{Text: fmt.Sprintf("%v: process %d %v", context.Cause(ctx), cmd.Process.Pid, err)}), nil
	}
	inTime := stop()
	text := out.text()
	if !inTime {
		// Its children too, even those that ignored the first signal.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // none left is fine
	}
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return job.Same(Result{Text: fmt.Sprintf("wait: %v", err)}), nil
	}
	if cause := context.Cause(ctx); cause != nil && !inTime && ExitOutcome(ws.ExitStatus()) == Retry {
		return job.Same(Result{Text: fmt.Sprintf("%v: %s", cause, exitText(ws, text))}), nil
	}
	return job.Same(ExitResult(ws, text)), nil
}

// stayGrace is how long the end of a process is awaited after it was killed.
const stayGrace = 5 * time.Second

// errStays: a process that cannot be killed, such as one that has become another user
// or waits for a disk, is not waited for.
var errStays = errors.New("does not end, although it was killed; it is left running")

// wait waits for a program, but only for the grace once the context is done.
func wait(ctx context.Context, cmd *exec.Cmd, grace time.Duration) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(grace):
		return errStays
	}
}

// killGroup asks a process group to end and, when its leader is still there
// after the grace, ends it.
func killGroup(pid int, cmd *exec.Cmd) {
	_ = syscall.Kill(-pid, syscall.SIGTERM) // none left is fine
	deadline := time.Now().Add(killGrace)
	for time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
		// The Process knows whether it was waited for, so this cannot meet a
		// stranger that got the same pid.
		if errors.Is(cmd.Process.Signal(syscall.Signal(0)), os.ErrProcessDone) {
			return
		}
	}
	if cmd.Process.Signal(syscall.SIGKILL) == nil {
		_ = syscall.Kill(-pid, syscall.SIGKILL) // the leader was there a moment ago
	}
}

// A capture keeps the last octets of what is written into a pipe and reads on
// without end, so that no writer blocks.
//
// The output mostly ends with the program. To wait for the output costs no thread; to
// wait for the process does, and the runtime then starts another one.
type capture struct {
	r, w  *os.File
	wg    sync.WaitGroup
	ended bool // all was read
	buf   []byte
}

func newCapture() (*capture, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &capture{r: r, w: w}, nil
}

// await reads until the output ends, if that is soon; else it is read beside
// what comes next.
func (c *capture) await() {
	_ = c.r.SetReadDeadline(time.Now().Add(shortAgent)) // pipes have deadlines
	if c.read(); c.ended {
		return
	}
	_ = c.r.SetReadDeadline(time.Time{})
	c.wg.Go(c.read)
}

func (c *capture) read() {
	var chunk [4096]byte
	for {
		n, err := c.r.Read(chunk[:])
		c.buf = append(c.buf, chunk[:n]...)
		if len(c.buf) > 2*maxOutput {
			c.buf = append(c.buf[:0], c.buf[len(c.buf)-maxOutput:]...)
		}
		if err != nil {
			c.ended = !errors.Is(err, os.ErrDeadlineExceeded) // else the grace is over
			return
		}
	}
}

// started closes our side of the pipe's writing end.
func (c *capture) started() { _ = c.w.Close() } // nothing was written through it

// abandon ends the capture of a program that is left alone.
func (c *capture) abandon() {
	_ = c.r.SetReadDeadline(time.Unix(1, 0))
	c.wg.Wait()
	_ = c.r.Close() // read only
}

// text ends the capture and returns what was kept.
func (c *capture) text() string {
	_ = c.r.SetReadDeadline(time.Now().Add(outputGrace))
	c.wg.Wait()
	_ = c.r.Close() // read only
	if len(c.buf) > maxOutput {
		return string(c.buf[len(c.buf)-maxOutput:])
	}
	return string(c.buf)
}
