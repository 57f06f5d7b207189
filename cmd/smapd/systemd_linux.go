package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// beats is how often in the watchdog's time we say that all is well. Child and
// parent beat independently, so that one word may be two beats old.
const beats = 4

// beat is the time between our reports to the service manager's watchdog; 0 is
// never.
func beat() time.Duration {
	every, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if pid := os.Getenv("WATCHDOG_PID"); err != nil || every < beats || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(every) * time.Microsecond / beats
}

// notify sends a state as sd_notify(3) does. (The library of go-systemd does not
// build on every system that we build for.)
func notify(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", name) // a name that begins with "@" is abstract
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return errors.Join(err, conn.Close())
}

// A manager is the service manager that started us, as sd_notify(3) knows it.
// Without one nothing happens. It is told by the process that it started: the
// parent, if there is one.
type manager struct {
	log *slog.Logger

	mu     sync.Mutex
	mute   bool // it does not listen, which was said
	up     bool // the work has begun
	reread bool // and is being changed
}

// say sends a state. The lock is held.
func (m *manager) say(state string) {
	if err := notify(state); err != nil && !m.mute {
		m.mute = true
		m.log.Warn(eventTrouble, "what", "service manager", "error", err.Error())
	}
}

func (m *manager) tell(state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.say(state)
}

func (m *manager) alive()    { m.tell("WATCHDOG=1") }
func (m *manager) stopping() { m.tell("STOPPING=1") }

// ready says that the work has begun.
func (m *manager) ready() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up = true
	m.say("READY=1")
}

// reload says that the table is read again; reloaded that this is over, well or
// not.
func (m *manager) reload() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return // no such clock, no such manager
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reread = true
	m.say(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
}

func (m *manager) reloaded() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reread && m.up {
		m.say("READY=1")
	}
	m.reread = false
}

// signals passes signals on, and tells of the one that ends us.
func (m *manager) signals(in <-chan os.Signal) <-chan os.Signal {
	out := make(chan os.Signal)
	go func() {
		for s := range in {
			if s == unix.SIGTERM || s == unix.SIGINT {
				m.stopping()
			}
			out <- s
		}
	}()
	return out
}
