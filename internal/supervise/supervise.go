// Package supervise keeps a child process at work for a parent that has root
// and does nothing else.
//
// Parent and child are joined by a line, a pair of sockets. Its end tells either
// of them that the other is gone, however it died; an octet from the child says
// that it is at work, and more of them that it still is, where somebody wants to
// know; and the parent may send what the child cannot read itself.
// The parent reads nothing else from the child, and nothing from anybody else.
//
// There may be several children: one that serves, one that starts in order to
// take its place, and those that were told to end and finish what they have.
//
//	event                   serving   next       what happens
//	HUP                     any       any        a next is told to end, another one is started
//	next says it is ready   any       it         serving is told to end; next serves
//	next ends               a child   it         the reload failed; serving goes on
//	next ends               none      it         started again after a wait
//	serving ends            it        a child    next will serve
//	serving ends            it        none       started again after a wait
//	TERM                    any       any        all are told to end; so does the parent, after them
//
// If the very first child ends before it was ready, that is the end of the
// parent too, with the same exit code: somebody waits to hear about it.
package supervise

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// A child that dies is started again after a second; after twice as long each
// time that it died young, up to a minute, so that a broken machine is not kept
// busy.
const (
	firstRestart = time.Second
	lastRestart  = time.Minute
	steady       = time.Minute // who lived longer did not die young
)

// A Parent is what to do for the children. Log and Command are required.
type Parent struct {
	Log *slog.Logger
	// Command makes the command of another child. The line becomes the last of
	// its ExtraFiles.
	Command func() (*exec.Cmd, error)
	// Tell sends a child what it has to know, when it starts and after a Reload
	// that did not ask for another child. nil: there is nothing to say.
	Tell func(line io.Writer) error
	// Reload is called on HUP, before anything is done. After an error, which
	// it has logged, all stays as it is.
	Reload func() (another bool, err error)
	// Ready is called once, when a child is at work for the first time.
	Ready func()
	// Alive, when it is not nil, is called every Beat while the parent turns and
	// the child that serves has said since the last time that it does, too.
	// While none serves, the parent alone counts.
	Alive func()
	Beat  time.Duration
	// Once: a child that exits has done the work, and the parent exits likewise.
	Once bool
	// Grace is how long a child that was told to end may take before it is
	// killed.
	Grace time.Duration
}

// A run is the state of [Parent.Run].
type run struct {
	*Parent
	serving *child
	next    *child
	leaving map[*child]bool
	events  chan event
	alive   bool // serving has said so since the last beat

	restart <-chan time.Time
	wait    time.Duration
	worked  bool // a child has been ready
	stop    bool
	code    int
}

// Run starts a child and looks after it and its successors until one of signals
// is TERM or INT, or a child's end is final, and returns the exit code for this
// process. HUP reloads; USR1 is passed on. The error is that of the first start.
func (p *Parent) Run(signals <-chan os.Signal) (int, error) {
	r := &run{Parent: p, leaving: make(map[*child]bool), events: make(chan event)}
	if err := r.start(); err != nil {
		return 0, err
	}
	var beat <-chan time.Time
	if p.Alive != nil {
		t := time.NewTicker(p.Beat)
		defer t.Stop()
		beat = t.C
	}
	for {
		select {
		case <-beat:
			if r.alive || r.serving == nil {
				p.Alive()
			}
			r.alive = false
		case s := <-signals:
			r.signal(s)
		case <-r.restart:
			r.startAgain()
		case e := <-r.events:
			if e.ready {
				r.ready(e.child)
			} else if e.alive {
				r.alive = r.alive || e.child == r.serving
			} else if r.buried(e.child, e.ended) {
				return r.code, nil
			}
		}
		if r.stop && r.serving == nil && r.next == nil && len(r.leaving) == 0 {
			return r.code, nil
		}
	}
}

// start starts the next child.
func (r *run) start() error {
	cmd, err := r.Command()
	if err != nil {
		return err
	}
	if r.next, err = begin(cmd, r.events, r.Alive != nil); err != nil {
		return err
	}
	r.Log.Info(eventChild, "pid", r.next.pid())
	r.tell(r.next)
	return nil
}

// startAgain starts a child where there is none.
func (r *run) startAgain() {
	r.restart = nil
	if err := r.start(); err != nil {
		r.Log.Error(eventChildStart, "error", err)
		r.later(0)
	}
}

// later sets the time of the next start, by how long the last child lived.
func (r *run) later(lived time.Duration) {
	if lived >= steady || r.wait == 0 {
		r.wait = firstRestart
	} else {
		r.wait = min(2*r.wait, lastRestart)
	}
	r.restart = time.After(r.wait)
}

// tell sends a child what it has to know. One that does not listen is broken.
func (r *run) tell(c *child) {
	if c == nil || r.Tell == nil {
		return
	}
	if err := c.tell(r.Tell); err != nil {
		r.Log.Error(eventChildRules, "pid", c.pid(), "error", err)
		c.kill()
	}
}

func (r *run) signal(s os.Signal) {
	switch {
	case r.stop:
	case s == unix.SIGHUP:
		r.reload()
	case s == unix.SIGUSR1:
		if r.serving != nil {
			r.serving.signal(unix.SIGUSR1)
		}
	default:
		r.stop, r.restart, r.code = true, nil, 0
		r.retire(r.serving)
		r.retire(r.next)
	}
}

// reload starts another child, or tells those that are there. A next one that
// is not ready yet has read what is old by now.
func (r *run) reload() {
	another := true
	if r.Reload != nil {
		var err error
		if another, err = r.Reload(); err != nil {
			return
		}
	}
	if !another && (r.serving != nil || r.next != nil) {
		r.tell(r.serving)
		r.tell(r.next)
		return
	}
	r.restart = nil
	if r.next != nil {
		r.leave(r.next)
		r.next = nil
	}
	if err := r.start(); err != nil {
		r.Log.Error(eventChildStart, "error", err)
		if r.serving == nil {
			r.later(0)
		}
	}
}

// retire tells a child to finish and end.
func (r *run) retire(c *child) {
	if c != nil {
		c.retire(r.Grace)
	}
}

// leave retires a child that has a successor.
func (r *run) leave(c *child) {
	r.leaving[c] = true
	r.retire(c)
}

// ready puts the next child in the place of the one that serves.
func (r *run) ready(c *child) {
	if c != r.next {
		return // it was told to end before it was ready
	}
	r.Log.Info(eventReady, "pid", c.pid())
	if !r.worked && r.Ready != nil {
		r.Ready()
	}
	r.worked = true
	if r.serving != nil {
		r.leave(r.serving)
	}
	r.serving, r.next = c, nil
}

// buried decides what the end of a child means. It returns true when that is
// the end of the parent, too.
func (r *run) buried(c *child, ended error) bool {
	lived := c.bury()
	code := c.cmd.ProcessState.ExitCode()
	if r.leaving[c] {
		delete(r.leaving, c)
		return false
	}
	next := c == r.next
	if next {
		r.next = nil
	} else {
		r.serving = nil
	}
	r.code = max(code, 0)
	if r.stop {
		return false
	}
	if r.Once && code >= 0 {
		return true
	}
	if !r.worked && code > 0 {
		return true // it has said why
	}
	if ended == nil {
		ended = errors.New("exit status 0")
	}
	if next && r.serving != nil {
		r.Log.Error(eventReloadFailed, "pid", c.pid(), "status", ended.Error())
		return false
	}
	r.Log.Error(eventChildDied, "pid", c.pid(), "status", ended.Error(), "seconds", int(lived.Seconds()))
	if r.next == nil {
		r.later(lived)
	}
	return false
}
