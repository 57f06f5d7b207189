package courier

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A timerFile is a timer that the runtime's network poller waits for.
type timerFile struct{ f *os.File }

func newTimerFile(every time.Duration) (*timerFile, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	interval := unix.NsecToTimespec(every.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: interval, Value: interval}, nil); err != nil {
		_ = unix.Close(fd) // nothing was written
		return nil, fmt.Errorf("timerfd_settime: %w", err)
	}
	return &timerFile{os.NewFile(uintptr(fd), "timer")}, nil
}

// wait returns at the next beat, or false when the timer was stopped.
func (t *timerFile) wait() bool {
	var beats [8]byte
	_, err := t.f.Read(beats[:])
	return err == nil
}

func (t *timerFile) stop() {
	_ = t.f.Close() // nothing was written; it makes wait return
}
