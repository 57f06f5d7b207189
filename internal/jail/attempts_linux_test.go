package jail

import (
	"errors"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errNoGate is what comes of it where the kernel was told, or built, to have none.
var errNoGate = errors.New("no gate for 32-bit programs")

func callAs32Bit(p *prison) (err error) {
	debug.SetPanicOnFault(true)
	defer func() {
		if recover() != nil {
			err = errNoGate
		}
	}()
	p.machine()
	return nil
}

func errorOf[T any](_ T, err error) error { return err }

// call makes a system call that the unix package would not make in this way.
func call(nr, a, b, c uintptr) error {
	if _, _, errno := unix.RawSyscall(nr, a, b, c); errno != 0 {
		return errno
	}
	return nil
}

func read(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Read(fd, make([]byte, 1))
	return err
}

func readWithOpenat2(*prison) error {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/etc/passwd", &unix.OpenHow{Flags: unix.O_RDONLY})
	if err != nil {
		return err
	}
	_, err = unix.Read(fd, make([]byte, 1))
	return err
}

func readByHandle(p *prison) error {
	handle, _, err := unix.NameToHandleAt(p.tmp, "passwd", unix.AT_SYMLINK_FOLLOW)
	if err == unix.ENOENT { // in a chroot: of a file that is there
		handle, _, err = unix.NameToHandleAt(p.tmp, "program", 0)
	}
	if err != nil {
		return err
	}
	return errorOf(unix.OpenByHandleAt(p.tmp, handle, unix.O_RDONLY))
}

func create(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("x"))
	return err
}

func moveToNew(p *prison) error {
	if err := create(p.tmp, "moved"); err != nil {
		return err
	}
	return unix.Renameat2(p.tmp, "moved", p.new, "moved", unix.RENAME_NOREPLACE)
}

// emptyMoved empties a file that was moved to new by the descriptor that made it,
// as a feeder has to whose content must not be anybody's.
func emptyMoved(p *prison) error {
	fd, err := unix.Openat(p.tmp, "moved", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return err
	}
	if err := unix.Renameat2(p.tmp, "moved", p.new, "moved", unix.RENAME_NOREPLACE); err != nil {
		return err
	}
	return unix.Ftruncate(fd, 0)
}

// makeSetUserID makes a file that would run as its owner.
func makeSetUserID(p *prison) error {
	fd, err := unix.Openat(p.tmp, "suid", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return err
	}
	return unix.Fchmod(fd, 0o4755)
}

func createSetUserID(p *prison) error {
	return errorOf(unix.Openat(p.tmp, "suid", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o4755))
}

func changeInNew(p *prison) error {
	return errorOf(unix.Openat(p.new, "m.eml", unix.O_WRONLY|unix.O_CLOEXEC, 0))
}

func replaceInNew(p *prison) error {
	if err := create(p.tmp, "mine"); err != nil {
		return err
	}
	return unix.Renameat2(p.tmp, "mine", p.new, "m.eml", 0)
}

func stat(path string) error {
	var st unix.Stat_t
	return unix.Fstatat(unix.AT_FDCWD, path, &st, 0)
}

func makeOthers(p *prison) error {
	// The first that fails for the reason of the others.
	for _, err := range []error{
		unix.Mkdirat(p.tmp, "directory", 0o700),
		unix.Symlinkat("/", p.tmp, "link"),
		unix.Mknodat(p.tmp, "fifo", unix.S_IFIFO|0o600, 0),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// execute becomes another program, which says that it was possible.
func execute(dir int, name string) error {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	argv := [2]*byte{path}
	env, err := unix.BytePtrFromString(envColumn + "=executed")
	if err != nil {
		return err
	}
	envv := [2]*byte{env}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(dir), uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(&argv)), uintptr(unsafe.Pointer(&envv)), unix.AT_EMPTY_PATH, 0)
	return errno
}

func executeMemory(p *prison) error {
	fd, err := unix.MemfdCreate("program", 0)
	if err != nil {
		return err
	}
	for n := 1; n > 0; {
		if n, err = unix.Sendfile(fd, p.program, nil, 1<<30); err != nil {
			return err
		}
	}
	return execute(fd, "")
}

func mapExecutable(p *prison) error {
	fd, err := unix.Openat(p.tmp, "code", unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, make([]byte, 4096)); err != nil {
		return err
	}
	return errorOf(unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE))
}

func makeExecutable(*prison) error {
	b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	return unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
}

// fork makes a process that only ends.
func fork(flags uintptr) error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		for {
			_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	return nil
}

func connectTCP(p *prison) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: p.port})
}

func sendUDP(p *prison) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	return unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: p.port})
}

func bindTCP(*prison) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	return unix.Listen(fd, 1)
}

func connectUnix(name string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return unix.Connect(fd, &unix.SockaddrUnix{Name: name})
}

func readMemory(p *prison) error {
	var b [1]byte
	local := []unix.Iovec{{Base: &b[0], Len: 1}}
	// The same program has the same data at the same place.
	there := []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&somewhere)), Len: 1}}
	return errorOf(unix.ProcessVMReadv(p.other, local, there, 0))
}

var somewhere = [1]byte{'x'}

func signalPidfd(p *prison) error {
	fd, err := unix.PidfdOpen(p.other, 0)
	if err != nil {
		return err
	}
	return unix.PidfdSendSignal(fd, 0, nil, 0)
}

func perfEvent(*prison) error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
	return errorOf(unix.PerfEventOpen(&attr, 0, -1, -1, 0))
}

func ioUring(*prison) error {
	var params [30]uint32
	return call(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)), 0)
}

func writeTooMuch(p *prison) error {
	fd, err := unix.Openat(p.tmp, "large", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, make([]byte, maxFile)); err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("x"))
	return err
}

func openTooMany(p *prison) error {
	for i := range 2 * maxOpen {
		if _, err := unix.Openat(p.tmp, "f"+string(rune('0'+i)), unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// raiseLimit is possible up to the hard limit, so it asks for more.
func raiseLimit(*prison) error {
	var now, more [2]uint64
	_, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, 0, uintptr(unsafe.Pointer(&now)), 0, 0)
	if errno != 0 {
		return errno
	}
	more = [2]uint64{now[0] + 1, now[1] + 1}
	_, _, errno = unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&more)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
