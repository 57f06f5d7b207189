package seccomp

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Verdict is what becomes of a system call.
type Verdict uint32

// The verdicts. Kill ends the process, all threads of it. Absent is ENOSYS, as if
// the kernel did not have the call.
const (
	Allow  Verdict = unix.SECCOMP_RET_ALLOW
	Kill   Verdict = unix.SECCOMP_RET_KILL_PROCESS
	Absent Verdict = unix.SECCOMP_RET_ERRNO | Verdict(unix.ENOSYS)
)

// A Rule decides on one system call. It holds where the argument Arg, counted
// from 0, without the bits that are not in Mask, is Want; with a Mask of 0 it
// always holds. Of the argument only the lower 32 bits are looked at: rules are
// for arguments of which the kernel, too, takes no more.
type Rule struct {
	Call       uint32
	Verdict    Verdict
	Arg        uint32
	Mask, Want uint32
}

// All appends rules that always hold.
func All(rules []Rule, v Verdict, calls ...uint32) []Rule {
	for _, call := range calls {
		rules = append(rules, Rule{Call: call, Verdict: v})
	}
	return rules
}

// Offsets in struct seccomp_data.
const (
	dataCall = 0
	dataArch = 4
	dataArgs = 16
)

// x32Bit marks the calls of the x32 ABI, which share amd64's architecture.
const x32Bit = 0x40000000

// Program assembles a filter for this architecture: calls of another one, 32-bit
// or x32, are killed; then the first rule for the call that holds decides; a call
// without one is absent, so that a runtime that tries something new does without
// and goes on. It sorts rules.
func Program(rules []Rule) ([]unix.SockFilter, error) {
	if arch == 0 || len(rules) == 0 {
		return nil, errors.ErrUnsupported
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return cmp.Compare(a.Call, b.Call) })
	p := make([]unix.SockFilter, 0, 4*len(rules))
	p = append(p,
		load(dataArch),
		skip(unix.BPF_JEQ, arch, 1, 0),
		end(Kill),
		load(dataCall),
		skip(unix.BPF_JGE, x32Bit, 0, 1),
		end(Kill))
	for len(rules) > 0 {
		n := 1
		for n < len(rules) && rules[n].Call == rules[0].Call {
			n++
		}
		outcome := decide(rules[:n])
		if len(outcome) > math.MaxUint8 {
			return nil, fmt.Errorf("too many rules for call %d", rules[0].Call)
		}
		p = append(p, skip(unix.BPF_JEQ, rules[0].Call, 0, uint8(len(outcome))))
		p = append(p, outcome...)
		rules = rules[n:]
	}
	return append(p, end(Absent)), nil
}

// decide is what becomes of one call. It ends the filter in any case, since it
// replaces the number of the call by an argument.
func decide(rules []Rule) []unix.SockFilter {
	var p []unix.SockFilter
	for _, r := range rules {
		if r.Mask == 0 {
			return append(p, end(r.Verdict))
		}
		p = append(p,
			load(dataArgs+8*r.Arg), // both architectures are little-endian
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: r.Mask},
			skip(unix.BPF_JEQ, r.Want, 0, 1),
			end(r.Verdict))
	}
	return append(p, end(Absent))
}

func load(at uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
}

// skip goes yes or no instructions ahead.
func skip(test uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | test, K: k, Jt: yes, Jf: no}
}

func end(v Verdict) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(v)}
}

// Install puts a filter on all threads, for good. They need no_new_privs, or a
// capability that nobody should have.
func Install(p []unix.SockFilter) error {
	f := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&f)))
	switch {
	case errno != 0:
		return errno
	case thread != 0:
		return fmt.Errorf("thread %d has a filter of its own", thread)
	}
	return nil
}
