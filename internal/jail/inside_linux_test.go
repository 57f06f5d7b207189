package jail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"smap/internal/jail/capability"
	"smap/internal/sockets"
	"smap/spoolfmt"
)

// The environment tells a process of this test that it is the one in the jail.
const (
	envColumn  = "JAIL_COLUMN"  // how it is confined
	envAttempt = "JAIL_ATTEMPT" // what it tries then
	envSpool   = "JAIL_SPOOL"
	envOther   = "JAIL_OTHER" // pid of a process of the same user
	envPort    = "JAIL_PORT"  // where somebody listens on 127.0.0.1
)

// nobody is who the jailed process is. No account needs to have the number.
const nobody = 65533

// maxFile and maxOpen are what the jailed process may use.
const (
	maxFile = 1 << 20
	maxOpen = 64
)

func TestMain(m *testing.M) {
	switch column := os.Getenv(envColumn); column {
	case "":
		os.Exit(m.Run())
	case "other":
		other()
	case "executed":
		fmt.Println("-")
	default:
		inside(column, os.Getenv(envAttempt))
	}
}

// other is a process that would let itself be traced.
func other() {
	_ = unix.Prctl(unix.PR_SET_PTRACER, ^uintptr(0), 0, 0, 0) // without Yama nobody asks
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the test ends
}

// prison is what an attempt has at its hands.
type prison struct {
	dir      string // the spool as the process sees it
	tmp, new int
	other    int
	port     int
	program  int    // this program, open
	listener int    // as a server's, which its parent keeps for the next child
	machine  func() // calls the kernel as a 32-bit program does
}

// inside confines the process as the column says, makes one attempt and prints
// what came of it: an error's name, or - if it was possible.
func inside(column, attempt string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("test:", err)
			os.Exit(3)
		}
	}
	sockets.CloseOthers(0)
	p := &prison{dir: os.Getenv(envSpool), machine: machineCode()}
	var err error
	p.other, err = strconv.Atoi(os.Getenv(envOther))
	fail(err)
	p.port, err = strconv.Atoi(os.Getenv(envPort))
	fail(err)

	listener, err := sockets.Listen("127.0.0.1:0")
	fail(err)
	p.listener, err = unix.FcntlInt(listener.Fd(), unix.F_DUPFD_CLOEXEC, 10) // 3 is to be seen closed
	fail(errors.Join(err, listener.Close()))

	self, err := os.Open("/proc/self/exe")
	fail(err)
	p.program, err = unix.FcntlInt(self.Fd(), unix.F_DUPFD_CLOEXEC, 10)
	fail(errors.Join(err, self.Close()))

	// Threads from before must be confined as well.
	const threads = 4
	began, todo, done := make(chan bool), make(chan func() error), make(chan error)
	for range threads {
		go func() {
			runtime.LockOSThread()
			began <- true
			for f := range todo {
				done <- f()
			}
		}()
	}
	for range threads {
		<-began
	}

	chroot := "/"
	if column == "chroot" || column == "all" {
		chroot, p.dir = p.dir, "/"
	}
	if column == "all" {
		fail(capability.EmptyBoundingSet())
	}
	if column == "capset" { // what Drop does otherwise, setuid has done
		fail(capability.Drop())
		fmt.Println("ready")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the test ends
		return
	}
	fail(Drop(chroot, nobody, nobody))
	spool, err := spoolfmt.OpenFeeder(p.dir, spoolfmt.Options{})
	fail(err)
	p.tmp, p.new = spool.Fd(spoolfmt.Tmp), spool.Fd(spoolfmt.New)
	j := Needs{Tmp: p.tmp, New: p.new, MaxFile: maxFile, MaxOpen: maxOpen}
	if column == "lookup" {
		if _, missing := EnterLookup(LookupNeeds{Dirs: []string{"/etc"}, MaxOpen: maxOpen}); missing != nil {
			fail(errors.New(strings.Join(missing, "; ")))
		}
	} else if column == "all" || column == "not root" {
		if _, missing := Enter(j); missing != nil {
			fail(errors.New(strings.Join(missing, "; ")))
		}
	} else if _, missing := enter(&j, partsOf(column)); missing != nil {
		fail(errors.New(strings.Join(missing, "; ")))
	}

	if attempt == "" { // the test looks at us
		fmt.Println("ready")
		_, _ = os.Stdin.Read(make([]byte, 1))
		return
	}
	try := attempts()[attempt]
	if try == nil {
		try = further()[attempt]
	}
	if try == nil {
		fail(fmt.Errorf("no attempt is called %q", attempt))
	}
	todo <- func() error { return try(p) }
	fmt.Println(result(<-done))
	os.Exit(0)
}

// partsOf returns the parts that a column stands for: one, and what it cannot do
// without.
func partsOf(column string) (chosen []part) {
	for _, p := range parts() {
		needed := p.name == "no_new_privs" && (column == "landlock" || column == "seccomp")
		if p.name == column || needed {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

func result(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "-"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// attempts are what somebody who owns the process might try, by the names that
// SECURITY.md has for them.
func attempts() map[string]func(*prison) error {
	return map[string]func(*prison) error{
		"read /etc/passwd":                            func(*prison) error { return read(unix.AT_FDCWD, "/etc/passwd") },
		"read it through .. from a kept descriptor":   func(p *prison) error { return read(p.tmp, strings.Repeat("../", 40)+"etc/passwd") },
		"read it through /proc/self/root":             func(*prison) error { return read(unix.AT_FDCWD, "/proc/self/root/etc/passwd") },
		"read it through a link in tmp/":              func(p *prison) error { return read(p.tmp, "passwd") },
		"read it with openat2":                        readWithOpenat2,
		"read it by its file handle":                  readByHandle,
		"read a descriptor left open by an ancestor":  func(*prison) error { _, err := unix.Read(3, make([]byte, 1)); return err },
		"make a file in tmp/":                         func(p *prison) error { return create(p.tmp, "own") },
		"move it to new/":                             moveToNew,
		"empty it there, being its maker":             emptyMoved,
		"read a file in tmp/":                         func(p *prison) error { return read(p.tmp, "m.eml") },
		"make it run as its owner for everybody":      makeSetUserID,
		"make it so at once":                          createSetUserID,
		"make a file beside tmp/":                     func(p *prison) error { return create(unix.AT_FDCWD, filepath.Join(p.dir, "beside")) },
		"make a file in cur/":                         func(p *prison) error { return create(unix.AT_FDCWD, filepath.Join(p.dir, "cur/own")) },
		"read a message in cur/":                      func(p *prison) error { return read(unix.AT_FDCWD, filepath.Join(p.dir, "cur/m.eml")) },
		"read a message in bad/":                      func(p *prison) error { return read(unix.AT_FDCWD, filepath.Join(p.dir, "bad/m.eml")) },
		"read a message in new/":                      func(p *prison) error { return read(p.new, "m.eml") },
		"change a message in new/":                    changeInNew,
		"replace a message in new/":                   replaceInNew,
		"move a message from new/ to tmp/":            func(p *prison) error { return unix.Renameat(p.new, "m.eml", p.tmp, "mine") },
		"remove a message in new/":                    func(p *prison) error { return unix.Unlinkat(p.new, "m.eml", 0) },
		"remove a message in cur/":                    func(p *prison) error { return unix.Unlinkat(unix.AT_FDCWD, filepath.Join(p.dir, "cur/m.eml"), 0) },
		"list new/":                                   func(p *prison) error { _, err := unix.Getdents(p.new, make([]byte, 4096)); return err },
		"learn whether a file of a known name exists": func(p *prison) error { return stat(filepath.Join(p.dir, "cur/m.eml")) },
		"change the mode of a file in cur/": func(p *prison) error {
			return unix.Fchmodat(unix.AT_FDCWD, filepath.Join(p.dir, "cur/m.eml"), 0o644, 0)
		},
		"make a directory, a link or a FIFO in tmp/": makeOthers,
		"execute a file":                         func(p *prison) error { return execute(p.tmp, "program") },
		"execute a file that has no name":        executeMemory,
		"map a file to be executed":              mapExecutable,
		"make memory executable":                 makeExecutable,
		"start a process":                        func(*prison) error { return fork(0) },
		"make a user namespace":                  func(*prison) error { return fork(unix.CLONE_NEWUSER) },
		"connect by TCP":                         connectTCP,
		"send by UDP":                            sendUDP,
		"connect to a socket of the file system": func(p *prison) error { return connectUnix(filepath.Join(p.dir, "tmp/socket")) },
		"connect to an abstract socket":          func(p *prison) error { return connectUnix("@jail-" + strconv.Itoa(p.port)) },
		"bind a TCP port and listen":             bindTCP,
		"end a socket that listens, for its parent as well": func(p *prison) error {
			return unix.Shutdown(p.listener, unix.SHUT_RD)
		},
		"make it block, for its parent as well": func(p *prison) error {
			return errorOf(unix.FcntlInt(uintptr(p.listener), unix.F_SETFL, 0))
		},
		"make a pair of sockets":             func(*prison) error { return errorOf(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)) },
		"trace another process":              func(p *prison) error { return unix.PtraceSeize(p.other) },
		"read another process's memory":      readMemory,
		"signal another process":             func(p *prison) error { return unix.Kill(p.other, 0) },
		"signal a thread of another process": func(p *prison) error { return unix.Tgkill(p.other, p.other, 0) },
		"signal it through a pidfd":          signalPidfd,
		"be root again":                      func(*prison) error { return call(unix.SYS_SETRESUID, 0, 0, 0) },
		"be in root's group again":           func(*prison) error { return call(unix.SYS_SETGROUPS, 1, uintptr(unsafe.Pointer(new(uint32))), 0) },
		"mount a file system":                func(p *prison) error { return unix.Mount("none", filepath.Join(p.dir, "tmp"), "tmpfs", 0, "") },
		"change the root directory":          func(p *prison) error { return unix.Chroot(filepath.Join(p.dir, "tmp")) },
		"use the kernel's keys": func(*prison) error {
			return errorOf(unix.AddKey("user", "jail", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING))
		},
		"load a BPF program":                       func(*prison) error { return call(unix.SYS_BPF, unix.BPF_PROG_LOAD, 0, 0) },
		"count performance events":                 perfEvent,
		"set up io_uring":                          ioUring,
		"call the kernel as a 32-bit program does": callAs32Bit,
		"call the kernel as an x32 program does":   func(*prison) error { return call(0x40000000|unix.SYS_GETPID, 0, 0, 0) },
		"write more than the largest file":         writeTooMuch,
		"open more files than it needs":            openTooMany,
		"raise a limit again":                      raiseLimit,
		"let others read its memory again":         func(*prison) error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) },
	}
}
