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
	return search(p, spans(rules)), nil
}

// A span is of calls that the same rules decide on: from one call up to the next
// span. Without rules they are absent.
type span struct {
	from  uint32
	rules []Rule
}

// spans divides all calls among sorted rules. Neighbours of one verdict are one.
func spans(rules []Rule) []span {
	all := make([]span, 0, 2*len(rules)+1)
	next := uint32(0) // the first call that is in no span yet
	for len(rules) > 0 {
		n := 1
		for n < len(rules) && rules[n].Call == rules[0].Call {
			n++
		}
		if rules[0].Call > next {
			all = append(all, span{from: next})
		}
		if k := len(all) - 1; k < 0 || !alike(all[k].rules, rules[:n]) {
			all = append(all, span{rules[0].Call, rules[:n]})
		}
		next, rules = rules[0].Call+1, rules[n:]
	}
	return append(all, span{from: next})
}

// alike tells whether both are one and the same verdict, whatever the arguments.
func alike(a, b []Rule) bool {
	return len(a) > 0 && a[0].Mask == 0 && b[0].Mask == 0 && a[0].Verdict == b[0].Verdict
}

// search finds a call's span by halving. When a filter is installed the kernel
// compiles it, and runs it for every call there is to know what is always
// allowed: what is short and finds quickly makes the start of a process shorter.
func search(p []unix.SockFilter, spans []span) []unix.SockFilter {
	if len(spans) == 1 {
		return decide(p, spans[0].rules)
	}
	half, test := len(spans)/2, len(p)
	p = search(append(p, skip(unix.BPF_JGE, spans[half].from, 0, 0)), spans[:half])
	if below := len(p) - test - 1; below <= math.MaxUint8 {
		p[test].Jt = uint8(below)
	} else { // farther than a conditional jump goes
		p[test].Jf = 1
		p = slices.Insert(p, test+1, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(below)})
	}
	return search(p, spans[half:])
}

// decide is the end of a search: the rules for one span.
func decide(p []unix.SockFilter, rules []Rule) []unix.SockFilter {
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
