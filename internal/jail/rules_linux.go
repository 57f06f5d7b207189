//go:build amd64 || arm64

package jail

import (
	"golang.org/x/sys/unix"

	"smap/internal/jail/seccomp"
)

// What a session needs beside the runtime: files by way of open directories, and
// to end a connection.
var allowed = []uint32{
	sysFstatat, unix.SYS_FSTATFS, unix.SYS_UNAME,
	unix.SYS_FSYNC, unix.SYS_SYNCFS, unix.SYS_SYNC_FILE_RANGE, unix.SYS_FTRUNCATE,
	unix.SYS_FLOCK, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_UNLINKAT,
	unix.SYS_GETSOCKNAME, unix.SYS_GETSOCKOPT, // package unix asks for the protocol of an address
}

// notOurs are the bits of a file's mode that no file of ours has: others' rights,
// execution, set-user-id.
const notOurs = ^uint32(0o640)

// What nobody but an attacker does here: it is worth ending the process for. The
// first line is of calls that only some arguments make harmless.
var killed = []uint32{
	unix.SYS_MMAP, unix.SYS_MPROTECT, unix.SYS_CLONE, unix.SYS_TGKILL, unix.SYS_KILL,
	unix.SYS_EXECVE, unix.SYS_EXECVEAT,
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_PIDFD_SEND_SIGNAL,
}

// rulesFor is the filter's policy; what is not in it is absent.
func rulesFor(j *Needs, pid uint32) []seccomp.Rule {
	rules := seccomp.GoRuntime(make([]seccomp.Rule, 0, 128), pid)
	rules = seccomp.All(rules, seccomp.Allow, allowed...)
	rules = seccomp.All(seccomp.All(rules, seccomp.Kill, killed...), seccomp.Kill, killedArch...)
	rules = append(rules,
		seccomp.Rule{Call: unix.SYS_OPENAT, Arg: 3, Mask: notOurs, Want: 0, Verdict: seccomp.Allow},
		seccomp.Rule{Call: unix.SYS_FCHMOD, Arg: 1, Mask: notOurs, Want: 0, Verdict: seccomp.Allow})
	// To end the reading of a socket that listens ends it for the parent, too.
	rules = append(rules, seccomp.Rule{Call: unix.SYS_SHUTDOWN, Arg: 1, Mask: seccomp.Whole, Want: unix.SHUT_WR, Verdict: seccomp.Allow})
	if j.Lock {
		rules = append(rules, seccomp.Rule{Call: unix.SYS_FCNTL, Arg: 1, Mask: seccomp.Whole, Want: unix.F_SETLK, Verdict: seccomp.Allow})
	}
	if j.Accept {
		rules = append(rules, seccomp.Rule{Call: unix.SYS_ACCEPT4, Verdict: seccomp.Allow})
	}
	return rules
}

// What the process that looks up names needs: to read files, and the network.
var lookupAllowed = []uint32{
	sysFstatat, unix.SYS_READLINKAT, unix.SYS_GETDENTS64, unix.SYS_UNAME,
	unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_RECVMSG,
	unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT, unix.SYS_SHUTDOWN,
}

// writing are the flags of openat that do more than read.
const writing = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC

// lookupRules is the policy for that process: sockets of IPv4 and IPv6 only, and
// files to be read.
func lookupRules(pid uint32) []seccomp.Rule {
	rules := seccomp.GoRuntime(nil, pid)
	rules = seccomp.All(rules, seccomp.Allow, lookupAllowed...)
	rules = append(rules,
		seccomp.Rule{Call: unix.SYS_OPENAT, Arg: 2, Mask: writing, Want: 0, Verdict: seccomp.Allow},
		seccomp.Rule{Call: unix.SYS_SOCKET, Arg: 0, Mask: seccomp.Whole, Want: unix.AF_INET, Verdict: seccomp.Allow},
		seccomp.Rule{Call: unix.SYS_SOCKET, Arg: 0, Mask: seccomp.Whole, Want: unix.AF_INET6, Verdict: seccomp.Allow},
		seccomp.Rule{Call: unix.SYS_SOCKET, Verdict: seccomp.Absent}) // the resolver tries others
	return seccomp.All(seccomp.All(rules, seccomp.Kill, killed...), seccomp.Kill, killedArch...)
}
