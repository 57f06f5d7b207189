package sockets

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain is also the program that descriptors are left to.
func TestMain(m *testing.M) {
	if os.Getenv("SOCKETS_OTHERS") == "" {
		os.Exit(m.Run())
	}
	mine, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 20)
	if err != nil {
		os.Exit(1)
	}
	CloseOthers(2)
	open := ""
	for _, fd := range []int{0, 1, 2, 3, 5, mine, 60, 104, 105, 300} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			open += "o"
		} else {
			open += "-"
		}
	}
	_, _ = os.Stdout.WriteString(open)
	os.Exit(0)
}

// TestCloseOthers has descriptors that an ancestor forgot: the next ones, ones
// behind a hole, and ones far up.
func TestCloseOthers(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SOCKETS_OTHERS=1")
	cmd.Stdin, cmd.Stderr = null, os.Stderr
	cmd.ExtraFiles = make([]*os.File, 298)
	for _, fd := range []int{3, 5, 60, 104, 105, 300} {
		cmd.ExtraFiles[fd-3] = null
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != "ooo--o----" {
		t.Errorf("open: %s", out)
	}
}
