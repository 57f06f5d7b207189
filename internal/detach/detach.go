// Package detach has a program work in the background as start-up scripts expect: in
// a session of its own, with a pid file, and with a command that ends when the work
// has begun, or with the reason why it has not.
package detach

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/sysexits"
)

// readyFD is where the detached process says that it is at work.
const readyFD = 3

// Start starts this program, whose name is given for messages, again with other
// arguments in a session of its own and waits until it calls [Ready]. The result is
// an exit code. The arguments must not have relative paths, since the other process
// has another working directory.
func Start(program string, args []string, stderr io.Writer) int {
	exe, err := os.Executable()
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", program, err)
		return sysexits.OSErr
	}
	in, out, err := os.Pipe()
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", program, err)
		return sysexits.OSErr
	}
	cmd := exec.Command(exe, args...)
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{out}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var said bytes.Buffer
	cmd.Stderr = &said // until we are gone, and with us the other end of the pipe
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", program, err)
		return sysexits.OSErr
	}
	_ = out.Close() // the other process has it now
	var b [1]byte
	if n, _ := in.Read(b[:]); n == 1 {
		return sysexits.OK
	}
	if err := cmd.Wait(); err != nil {
		_, _ = stderr.Write(said.Bytes())
		fmt.Fprintf(stderr, "%s: did not start: %v; the log has more\n", program, err)
		return max(cmd.ProcessState.ExitCode(), 1)
	}
	return sysexits.OK
}

// Hide keeps from other programs that this one starts how it calls [Ready].
func Hide() { unix.CloseOnExec(readyFD) }

// Ready tells the process that called [Start]. Only a program that was started so
// may call it, and only once.
func Ready() {
	f := os.NewFile(readyFD, "ready")
	_, _ = f.Write([]byte{1}) // who does not wait any more does not care
	_ = f.Close()
}

// WritePid writes the pid file, which is locked as long as this process lives, and
// returns what removes it. It fails while another process of the program has it.
func WritePid(program, path string) (remove func(), err error) {
	f, err := openPid(program, path)
	if err != nil {
		return nil, fmt.Errorf("pid file: %w; choose another file with -p", err)
	}
	// Cut first and written at once: there is no moment with half a number.
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pid file: %w; choose another file with -p", err), f.Close())
	}
	return func() {
		// Only our own: somebody may have removed it, and another process made one.
		if hasName(f, path) == nil {
			_ = os.Remove(path) // one that is left is checked by who reads it
		}
		_ = f.Close() // after that, so that nobody locks what is about to go
	}, nil
}

// openPid opens and locks the pid file, as often as it takes to lock the file that
// has the name.
func openPid(program, path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			var pid [20]byte
			n, _ := f.ReadAt(pid[:], 0) // for the message alone
			_ = f.Close()               // nothing was written
			if err != unix.EWOULDBLOCK {
				return nil, fmt.Errorf("lock %s: %w", path, err)
			}
			other, _ := strconv.Atoi(strings.TrimSpace(string(pid[:n]))) // 0: it is just starting
			return nil, fmt.Errorf("%s: %s is already running, as process %d", path, program, other)
		}
		if err = hasName(f, path); err == nil {
			return f, nil
		}
		_ = f.Close() // nothing was written
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// hasName tells whether an open file has a name: fs.ErrNotExist when nothing has
// that name, or something else.
func hasName(f *os.File, path string) error {
	open, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(path)
	if err == nil && !os.SameFile(open, named) {
		err = fs.ErrNotExist
	}
	return err
}
