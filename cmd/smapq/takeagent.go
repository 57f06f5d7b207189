package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"smap/courier/agent"
)

// A command is the agent of take: a program of the user's, in the user's
// environment and directory, with the user's output.
type command struct {
	path string
	argv []string
	each bool
	err  io.Writer

	mu               sync.Mutex
	waiting, refused int
}

// Name identifies the agent in the log.
func (c *command) Name() string { return "take " + c.argv[0] }

// MaxRecipients is 1 where the command runs for each recipient.
func (c *command) MaxRecipients() int {
	if c.each {
		return 1
	}
	return 0
}

// Close does nothing.
func (c *command) Close() error { return nil }

// totals returns how many deliveries are to be tried again, and how many were
// refused for good.
func (c *command) totals() (waiting, refused int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting, c.refused
}

// killGrace is the time between asking a command to end and ending it.
const killGrace = 5 * time.Second

// Deliver runs the command once. Its exit code is the outcome of every recipient.
func (c *command) Deliver(ctx context.Context, job *agent.Job) ([]agent.Result, error) {
	stdin, err := job.Open()
	if err != nil {
		return c.same(job, agent.Result{Text: err.Error()}), nil
	}
	defer stdin.Close() // only read
	stderr := &lastWords{to: c.err}
	cmd := exec.CommandContext(ctx, c.path)
	cmd.Args = c.argv
	cmd.Env = append(agent.Inherit(os.Environ()), agent.Environment(job)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, os.Stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = killGrace
	if job.Lock != nil {
		cmd.ExtraFiles = []*os.File{job.Lock}
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.E2BIG) { // this message's recipients, not the program
			return c.same(job, agent.Result{Text: err.Error()}), nil
		}
		return nil, &agent.StartError{Agent: c.Name(), Err: err}
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its children; none left is fine
	}
	r := result(cmd.ProcessState, err, stderr.text())
	if cause := context.Cause(ctx); cause != nil && r.Outcome == agent.Retry {
		r.Text = cause.Error() + ": " + r.Text
	}
	return c.same(job, r), nil
}

// result reads an exit code as smapd(8) does.
func result(state *os.ProcessState, err error, output string) agent.Result {
	code := state.ExitCode() // -1 after a signal
	r := agent.Result{Outcome: agent.ExitOutcome(code), Text: state.String()}
	if err != nil && code == 0 && !errors.Is(err, exec.ErrWaitDelay) {
		r.Outcome, r.Text = agent.Retry, err.Error()
	}
	if r.Outcome == agent.Delivered {
		r.Text = ""
	} else if output != "" {
		r.Text += ": " + output
	}
	return r
}

// same gives all recipients the same result, and counts.
func (c *command) same(job *agent.Job, r agent.Result) []agent.Result {
	all := make([]agent.Result, len(job.Recipients))
	for i := range all {
		all[i] = r
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.Outcome {
	case agent.Retry:
		c.waiting++
	case agent.Failed:
		c.refused++
	}
	return all
}

// lastWords passes a command's standard error on and keeps the end of it, which
// is where the reason stands.
type lastWords struct {
	to  io.Writer
	mu  sync.Mutex
	end []byte
}

const maxWords = 1000

func (l *lastWords) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = append(l.end, p...)
	if len(l.end) > maxWords {
		l.end = append(l.end[:0], l.end[len(l.end)-maxWords:]...)
	}
	_, _ = l.to.Write(p) // a terminal that is gone is not the command's fault
	return len(p), nil
}

func (l *lastWords) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Fields(string(bytes.ToValidUTF8(l.end, []byte("?"))))
	return fmt.Sprintf("%.400s", strings.Join(lines, " "))
}
