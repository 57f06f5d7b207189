package jail

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// further are attempts that are in no table of SECURITY.md.
func further() map[string]func(*prison) error {
	return map[string]func(*prison) error{"every mode": everyMode, "calls without a use": unusedCalls}
}

// everyMode gives a file each mode that there is: those up to 0640 are allowed,
// and the filter refuses all others, for new files as well.
func everyMode(p *prison) error {
	fd, err := unix.Openat(p.tmp, "own", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return err
	}
	for mode := range uint32(0o10000) {
		var want error
		if mode&^0o640 != 0 {
			want = unix.ENOSYS
		}
		if err := unix.Fchmod(fd, mode); err != want {
			return fmt.Errorf("fchmod %#o: %v, want %v", mode, err, want)
		}
		if want == nil {
			continue
		}
		if _, err := unix.Openat(p.tmp, "new", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode); err != want {
			return fmt.Errorf("openat with %#o: %v, want %v", mode, err, want)
		}
	}
	return nil
}

// unusedCalls makes calls that were once allowed though no session needs them.
func unusedCalls(p *prison) error {
	fd, err := unix.Openat(p.tmp, "own", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return err
	}
	_, peer := unix.Getpeername(p.listener)
	_, _, receive := unix.Recvfrom(p.listener, make([]byte, 1), unix.MSG_DONTWAIT)
	for name, err := range map[string]error{
		"fdatasync": unix.Fdatasync(fd), "fallocate": unix.Fallocate(fd, 0, 0, 1), "getpeername": peer, "recvfrom": receive,
	} {
		if err != unix.ENOSYS {
			return fmt.Errorf("%s: %v, want ENOSYS", name, err)
		}
	}
	return nil
}

// TestNarrow: the filter allows no mode and no call that smap does not need.
func TestNarrow(t *testing.T) {
	s := newSite(t)
	for attempt := range further() {
		if got := s.try(t, "seccomp", attempt); got != "-" {
			t.Errorf("%s: %s", attempt, got)
		}
	}
}

// TestCapset: a process that stays root, so that no setuid has taken its
// capabilities away, has none in any thread once they are dropped.
func TestCapset(t *testing.T) {
	s := newSite(t)
	cmd, ready := s.start(t, "capset", s.spool(t), nil)
	if ready != "ready" {
		t.Fatalf("the process says %q", ready)
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", cmd.Process.Pid))
	if err != nil || len(files) < 4 {
		t.Fatalf("threads: %v, %v", files, err)
	}
	for _, file := range files {
		status := statusOf(t, file)
		if status == nil {
			continue
		}
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			if strings.Trim(status[set], "0") != "" || status[set] == "" {
				t.Errorf("%s: %s is %q", file, set, status[set])
			}
		}
		if !strings.HasPrefix(status["Uid"], "0\t0\t") {
			t.Errorf("%s: Uid is %q, which is not root", file, status["Uid"])
		}
	}
}
