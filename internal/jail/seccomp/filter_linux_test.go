package seccomp

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A call is what the kernel shows a filter.
type call struct {
	arch, nr uint32
	args     [6]uint64
}

// verdictOf runs a filter as the kernel would.
func verdictOf(t *testing.T, p []unix.SockFilter, c call) Verdict {
	t.Helper()
	raw := make([]bpf.Instruction, len(p))
	for i, f := range p {
		raw[i] = bpf.RawInstruction{Op: f.Code, Jt: f.Jt, Jf: f.Jf, K: f.K}.Disassemble()
	}
	vm, err := bpf.NewVM(raw)
	if err != nil {
		t.Fatal(err)
	}
	// struct seccomp_data; the interpreter reads words as the network has them.
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[0:], c.nr)
	binary.BigEndian.PutUint32(data[4:], c.arch)
	for i, a := range c.args {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(a>>32))
	}
	v, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return Verdict(v)
}

// plain is the policy as its description has it.
func plain(rules []Rule, c call) Verdict {
	if c.arch != arch || c.nr&x32Bit != 0 {
		return Kill
	}
	for _, r := range rules {
		if r.Call == c.nr && uint32(c.args[r.Arg])&r.Mask == r.Want {
			return r.Verdict
		}
	}
	return Absent
}

func needArch(t *testing.T) {
	if arch == 0 {
		t.Skip("there are no filters for this architecture")
	}
}

func TestProgram(t *testing.T) {
	needArch(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var rules []Rule
		for range 1 + random.IntN(60) {
			r := Rule{Call: random.Uint32N(40), Verdict: []Verdict{Allow, Kill, Absent}[random.IntN(3)]}
			if random.IntN(2) == 0 {
				r.Arg, r.Mask = random.Uint32N(6), 1+random.Uint32N(7)
				r.Want = random.Uint32() & r.Mask
			}
			rules = append(rules, r)
		}
		p, err := Program(slices.Clone(rules))
		if err != nil {
			t.Fatal(err)
		}
		for nr := range uint32(42) {
			c := call{arch: arch, nr: nr}
			for i := range c.args {
				c.args[i] = random.Uint64N(8) | random.Uint64()<<32
			}
			if got, want := verdictOf(t, p, c), plain(rules, c); got != want {
				t.Fatalf("rules %+v, %+v: %x, want %x", rules, c, got, want)
			}
		}
	}
}

// TestManyRules has a filter of many calls.
func TestManyRules(t *testing.T) {
	needArch(t)
	var rules []Rule
	for nr := range uint32(600) {
		rules = append(rules, Rule{Call: 2 * nr, Verdict: Allow})
	}
	p, err := Program(rules)
	if err != nil {
		t.Fatal(err)
	}
	for nr := range uint32(1300) {
		c := call{arch: arch, nr: nr}
		if got, want := verdictOf(t, p, c), plain(rules, c); got != want {
			t.Fatalf("call %d: %x, want %x", nr, got, want)
		}
	}
}

func TestForeignCalls(t *testing.T) {
	needArch(t)
	p, err := Program([]Rule{{Call: 0, Verdict: Allow}, {Call: 1, Verdict: Allow}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []call{
		{arch: unix.AUDIT_ARCH_I386, nr: 1},
		{arch: unix.AUDIT_ARCH_ARM, nr: 1},
		{arch: 0, nr: 0},
		{arch: arch, nr: x32Bit},
		{arch: arch, nr: x32Bit | 1},
		{arch: arch, nr: 1<<32 - 1},
	} {
		if v := verdictOf(t, p, c); v != Kill {
			t.Errorf("%x: %x, want the end of the process", c, v)
		}
	}
	if v := verdictOf(t, p, call{arch: arch, nr: 1}); v != Allow {
		t.Errorf("call 1: %x, want it allowed", v)
	}
}

func TestNoRules(t *testing.T) {
	if p, err := Program(nil); err == nil {
		t.Errorf("a filter without rules: %v", p)
	}
}
