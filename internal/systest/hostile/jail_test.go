//go:build system

package hostile

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"smap/internal/systest/kit"

	"golang.org/x/sys/unix"
)

// TestJailServer has many sessions in a strict jail, with more threads than processors and a collector that never rests:
// whatever the runtime does from time to time has to be allowed.
func TestJailServer(t *testing.T) {
	t.Parallel()
	p := kit.NewPeerFrom(t, []string{"/usr/bin/env", "GOMAXPROCS=8", "GOGC=1"}, "smap: sandbox strict")
	p.Logged(t, `sandbox active="limits capabilities no_new_privs landlock seccomp"`)
	confined(t, p.Child(t), true)
	const clients, each = 8, 10
	t.Run("sessions", func(t *testing.T) {
		for n := range clients {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				for i := range each {
					to := fmt.Sprintf("bob-%d-%d@system.test", n, i)
					if err := sendMail(p.Port, n%2 == 0, to, kit.Message(kit.FromAddress, to, strings.Repeat("a long subject ", 20))); err != nil {
						t.Errorf("%s: %v", to, err)
					}
				}
			})
		}
	})
	if got := p.Count("new"); got != 2*clients*each {
		t.Errorf("%d files in new/, want %d", got, 2*clients*each)
	}
	if got := kit.LinesWith(p.Smap.Log(), "child-died"); len(got) > 0 {
		t.Error(got)
	}
}

// TestJailInetd has a process for one connection, with a descriptor that its inetd forgot.
func TestJailInetd(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	s.Rules("smap: hostname mx.system.test", "smap: local-domains system.test", "smap: sandbox strict", "smap: log stderr")
	conn, theirs := socketPair(t)
	secret, err := os.Open("/etc/shadow")
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close() // only read
	cmd := exec.Command(kit.Program(t, "smap"), "-c", s.Table)
	cmd.Stdin, cmd.ExtraFiles = theirs, []*os.File{secret}
	cmd.Env = append(os.Environ(), "GOMAXPROCS=8", "GOGC=1")
	smap := kit.StartCommand(t, cmd)
	c := kit.NewConn(t, conn)
	c.Reply("220 ")
	confined(t, cmd.Process.Pid, false)
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", cmd.Process.Pid))
	if err != nil || len(links) < 3 {
		t.Fatalf("descriptors: %v, %v", links, err)
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == "/etc/shadow" {
			t.Errorf("%s is %s", link, to)
		}
	}
	const to = "bob@system.test"
	for n := range 5 {
		c.Transaction(to)
		c.Say(kit.Stuffed(kit.Message(kit.FromAddress, to, fmt.Sprint("round ", n)))+".", "250 2.0.0 Mail accepted")
	}
	c.Say("QUIT", "221 ")
	<-smap.Done
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := s.Count("new"); got != 10 {
		t.Errorf("%d files in new/, want 10", got)
	}
	if got := kit.LinesWith(smap.Log(), " sandbox "); len(got) > 0 {
		t.Errorf("a complete sandbox is worth no line: %q", got)
	}
}

// TestJailNotRoot is started by the user itself, with a capability as systemd can give one: no chroot, everything else.
func TestJailNotRoot(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	s.Write(s.Table, "smap: directory "+s.Spool+"\nsmap: hostname mx.system.test\nsmap: log stderr\nsmap: sandbox strict\n", 0o644)
	conn, theirs := socketPair(t)
	uid, _ := kit.IDs(t, kit.SmapUser)
	cmd := exec.Command(kit.Program(t, "smap"), "-c", s.Table)
	cmd.Stdin = theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: uint32(uid), Gid: uint32(kit.GroupID(t, kit.Feeders))},
		AmbientCaps: []uintptr{unix.CAP_NET_BIND_SERVICE},
	}
	smap := kit.StartCommand(t, cmd)
	c := kit.NewConn(t, conn)
	const to = "bob@mx.system.test"
	c.Reply("220 ")
	has(t, cmd.Process.Pid, harmless...)
	c.Transaction(to)
	c.Say(kit.Stuffed(kit.Message(kit.FromAddress, to, "not root"))+".", "250 2.0.0 Mail accepted")
	c.Say("QUIT", "221 ")
	<-smap.Done
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := s.Count("new"); got != 2 {
		t.Errorf("%d files in new/, want 2", got)
	}
	if len(kit.LinesWith(smap.Log(), " start note=\"not root: ")) != 1 {
		t.Error("the log does not say that it is not root")
	}
}

// TestJailMissing has a kernel that lacks Landlock: a filter around the whole of smap sees to that.
func TestJailMissing(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	for _, test := range []struct {
		mode, reply string
		log         []string
	}{
		{"strict", "421 ", []string{"fwtksyserr: start error=", "strict:5: sandbox: strict", "landlock: "}},
		{"best", "220 ", []string{` sandbox active="limits capabilities no_new_privs seccomp" missing="landlock: `}},
		{"off", "220 ", []string{` sandbox note="off, as the table says"`}},
	} {
		t.Run(test.mode, func(t *testing.T) {
			table := s.File(test.mode)
			s.Write(table, fmt.Sprintf("smap: directory %s\nsmap: userid %s\nsmap: groupid %s\nsmap: log stderr\nsmap: sandbox %s\n",
				s.Spool, kit.SmapUser, kit.Feeders, test.mode), 0o600)
			conn, theirs := socketPair(t)
			log, err := os.Create(s.File("log-" + test.mode))
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(kit.Program(t, "smap"), "-c", table)
			cmd.Stdin, cmd.Stderr = theirs, log
			if err := errors.Join(startWithoutLandlock(cmd), log.Close()); err != nil {
				t.Fatal(err)
			}
			c := kit.NewConn(t, conn)
			c.Reply(test.reply)
			_, _ = c.Write([]byte("QUIT\r\n")) // one that refuses us is gone
			want := 0
			if test.mode == "strict" {
				want = 71
			}
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != want {
				t.Errorf("smap ended with %v, want code %d", err, want)
			}
			said, err := os.ReadFile(log.Name())
			if err != nil || len(kit.LinesWith(string(said), test.log...)) != 1 {
				t.Errorf("not one line with %q in (%v):\n%s", test.log, err, said)
			}
		})
	}
}

// startWithoutLandlock starts a process on a kernel that has no Landlock, as far as it can see. The filter is on one
// thread only, which is not used for anything else again.
func startWithoutLandlock(cmd *exec.Cmd) error {
	p := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_LANDLOCK_CREATE_RULESET, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		f := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
		_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&f)))
		if errno != 0 {
			started <- errno
			return
		}
		started <- cmd.Start()
	}()
	return <-started
}

// sendMail sends a message as any client does.
func sendMail(port int, secure bool, to, text string) error {
	c, err := smtp.Dial(kit.Local(port))
	if err != nil {
		return err
	}
	defer c.Close() // after QUIT it is closed already
	if err := c.Hello("client.test"); err != nil {
		return err
	}
	if secure {
		if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil { // whose it is, is for other tests
			return err
		}
	}
	if err := errors.Join(c.Mail(kit.FromAddress), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = w.Write([]byte(text))
	return errors.Join(err, w.Close(), c.Quit())
}

// harmless is what the kernel says of every process in the jail.
var harmless = []string{"NoNewPrivs:\t1", "Seccomp:\t2",
	"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000"}

// has looks at all threads of a process from outside.
func has(t *testing.T, pid int, lines ...string) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads: %v, %v", threads, err)
	}
	for _, thread := range threads {
		data, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		for _, line := range lines {
			if !strings.Contains(string(data), line+"\n") {
				t.Errorf("%s is not so: %s", thread, line)
			}
		}
	}
}

// confined looks at one that was started by root.
func confined(t *testing.T, pid int, server bool) {
	t.Helper()
	has(t, pid, harmless...)
	if server {
		has(t, pid, "CapBnd:\t0000000000000000")
	}
	if root, err := os.Readlink(fmt.Sprintf("/proc/%d/root", pid)); err != nil || root == "/" {
		t.Errorf("its root is %s, %v", root, err)
	}
}

// socketPair is a connection as inetd has it, and its other end.
func socketPair(t *testing.T) (net.Conn, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // one connection is all
	ours, err := net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := accepted.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(accepted.Close(), theirs.Close()) })
	return ours, theirs
}
