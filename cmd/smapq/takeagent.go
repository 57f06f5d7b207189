package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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
	var end lastWords
	cmd := exec.CommandContext(ctx, c.path)
	cmd.Args = c.argv
	cmd.Env = append(agent.Inherit(os.Environ()), agent.Environment(job)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, end.copyTo(os.Stdout), end.copyTo(c.err)
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
	r := result(cmd.ProcessState, err, end.text())
	if cause := context.Cause(ctx); cause != nil && r.Outcome == agent.Retry {
		r.Text = cause.Error() + ": " + r.Text
	}
	return c.same(job, r), nil
}

// result reads the end of a command as smapd does.
func result(state *os.ProcessState, err error, output string) agent.Result {
	ws, ok := state.Sys().(syscall.WaitStatus)
	if !ok || err != nil && state.Success() && !errors.Is(err, exec.ErrWaitDelay) {
		return agent.Result{Outcome: agent.Retry, Text: fmt.Sprintf("wait: %v", err)}
	}
	return agent.ExitResult(ws, output)
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

// lastWords keep the end of what a command writes, which has the reason.
type lastWords struct {
	mu  sync.Mutex
	end []byte
}

const maxWords = 1000

// copyTo returns a writer that also passes everything on to another.
func (l *lastWords) copyTo(w io.Writer) io.Writer { return &wordsWriter{l, w} }

type wordsWriter struct {
	l  *lastWords
	to io.Writer
}

func (w *wordsWriter) Write(p []byte) (int, error) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.end = append(w.l.end, p...)
	if n := len(w.l.end); n > maxWords {
		w.l.end = append(w.l.end[:0], w.l.end[n-maxWords:]...)
	}
	_, _ = w.to.Write(p) // a terminal that is gone is not the command's fault
	return len(p), nil
}

func (l *lastWords) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.ToValidUTF8(l.end, []byte("?")))
}
