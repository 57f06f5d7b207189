package monitor

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// slack is by how much a sleep may be longer: far below what anybody notices in
// a session's time-outs.
const slack = 2_000_000 // ns

// Quiet lets all threads, the monitor as well, sleep longer than they ask for. In
// a program built with cgo it does nothing.
func Quiet() {
	_, _, _ = syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, slack, 0) // it is only slower without
}
