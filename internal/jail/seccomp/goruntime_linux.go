//go:build amd64 || arm64

package seccomp

import "golang.org/x/sys/unix"

// runtimeCalls are those that the runtime makes of itself: memory, threads,
// signals, clocks, waiting for descriptors, random numbers; and what package os
// makes of open files. None of them makes anything but epoll's descriptors.
var runtimeCalls = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_CLOSE, unix.SYS_FSTAT, unix.SYS_PREAD64, unix.SYS_LSEEK,
	unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETPID, unix.SYS_GETTID,
	unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
	unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PPOLL,
	unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_GETRANDOM, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// cloneNew are the flags of clone(2) that make namespaces.
const cloneNew = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// Whole is a Mask for arguments that are compared whole.
const Whole = ^uint32(0)

// GoRuntime appends rules that allow what a Go program does of itself, and no more
// of it: threads but not processes, signals to itself, whose pid it is, but not to
// others, memory but none that can be executed, and of fcntl neither what sends
// signals nor what changes an open file for others, too, that have it.
func GoRuntime(rules []Rule, pid uint32) []Rule {
	rules = append(rules,
		Rule{Call: unix.SYS_MMAP, Arg: 2, Mask: unix.PROT_EXEC, Want: 0, Verdict: Allow},
		Rule{Call: unix.SYS_MPROTECT, Arg: 2, Mask: unix.PROT_EXEC, Want: 0, Verdict: Allow},
		Rule{Call: unix.SYS_CLONE, Arg: 0, Mask: unix.CLONE_THREAD | cloneNew, Want: unix.CLONE_THREAD, Verdict: Allow},
		Rule{Call: unix.SYS_TGKILL, Arg: 0, Mask: Whole, Want: pid, Verdict: Allow},
		Rule{Call: unix.SYS_KILL, Arg: 0, Mask: Whole, Want: pid, Verdict: Allow})
	for _, command := range []uint32{unix.F_GETFL, unix.F_GETFD, unix.F_SETFD} {
		rules = append(rules, Rule{Call: unix.SYS_FCNTL, Arg: 1, Mask: Whole, Want: command, Verdict: Allow})
	}
	return All(rules, Allow, runtimeCalls...)
}
