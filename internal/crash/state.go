package crash

import (
	"fmt"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// An inode is a file in the model: its octets, and how many of them are durable.
type inode struct {
	data   []byte
	synced int
}

// A name is what a path stands for: every value since it was last durable. The
// first is the durable one, the last the present one; 0 is nothing.
type name []int

func (n name) now() int { return n[len(n)-1] }

// disk is a file system at one moment of a record.
type disk struct {
	names  map[string]name
	inodes []inode
	left   map[string]map[int]bool // by box: what was moved out of it since its last sync
}

func newDisk() *disk {
	return &disk{names: map[string]name{}, inodes: make([]inode, 1), left: map[string]map[int]bool{}}
}

func box(path string) string { b, _, _ := strings.Cut(path, "/"); return b }

func (d *disk) set(path string, to int) {
	n, known := d.names[path]
	if !known {
		n = name{0}
	}
	d.names[path] = append(n, to)
}

func (d *disk) at(path string) (int, error) {
	if n := d.names[path]; len(n) > 0 && n.now() != 0 {
		return n.now(), nil
	}
	return 0, fmt.Errorf("the record says nothing of where %s comes from", path)
}

// apply does one operation.
func (d *disk) apply(op Op) error {
	var i int
	var err error
	if op.Kind != Create && op.Kind != SyncDir && op.Kind != SyncAll && op.Kind != Say {
		if i, err = d.at(op.Path); err != nil {
			return err
		}
	}
	switch op.Kind {
	case Create:
		d.inodes = append(d.inodes, inode{})
		d.set(op.Path, len(d.inodes)-1)
	case Write:
		d.inodes[i].data = append(slices.Clip(d.inodes[i].data), op.Data...)
	case Truncate:
		f := &d.inodes[i]
		f.data = f.data[:min(int64(len(f.data)), op.Size)]
		f.synced = min(f.synced, len(f.data))
	case SyncFile:
		d.inodes[i].synced = len(d.inodes[i].data)
	case SyncDir:
		d.sync(op.Path)
	case SyncAll:
		for p := range d.names {
			d.sync(box(p))
		}
		for i := range d.inodes {
			d.inodes[i].synced = len(d.inodes[i].data)
		}
	case Link, Move:
		d.set(op.To, i)
		if op.Kind == Move {
			d.set(op.Path, 0)
			b := box(op.Path)
			if d.left[b] == nil {
				d.left[b] = map[int]bool{}
			}
			d.left[b][i] = true
		}
	case Remove:
		d.set(op.Path, 0)
	case Say:
	}
	return nil
}

// sync makes a box durable, and where its files went.
func (d *disk) sync(b string) {
	for p, n := range d.names {
		if box(p) == b || d.left[b][n.now()] {
			d.names[p] = name{n.now()}
		}
	}
	delete(d.left, b)
}

// A State is what a power cut left: names, the files they stand for, and octets.
type State struct {
	Names map[string]int
	Files map[int]string
	Said  []string // before the cut
	Gone  []string // envelopes that became .done files before the cut: their messages are delivered
	After int      // operations before the cut
}

// pick makes one state of those that a cut may leave now.
func (d *disk) pick(r *rand.Rand) State {
	s := State{Names: map[string]int{}, Files: map[int]string{}}
	paths := make([]string, 0, len(d.names))
	for p := range d.names {
		paths = append(paths, p)
	}
	slices.Sort(paths) // so that a seed means the same each time
	for _, p := range paths {
		n := d.names[p]
		s.Names[p] = n[r.IntN(len(n))]
	}
	// A file that was moved is under its old name or its new one.
	for _, p := range paths {
		was := d.names[p][0]
		if was == 0 || s.Names[p] == was {
			continue
		}
		if at, ok := d.present(was); ok && !s.has(was, box(p) != "tmp") {
			s.Names[at] = was
		}
	}
	for p, i := range s.Names {
		if i == 0 {
			delete(s.Names, p)
		}
	}
	for _, p := range paths {
		i := s.Names[p]
		if _, done := s.Files[i]; done || i == 0 {
			continue
		}
		s.Files[i] = d.inodes[i].pick(r)
	}
	return s
}

// pick makes one of the files that a cut may leave: what was not synced is there,
// or is missing in part or whole, or other octets are in its place.
func (f *inode) pick(r *rand.Rand) string {
	lost := len(f.data) - f.synced
	if lost == 0 {
		return string(f.data)
	}
	switch r.IntN(4) {
	case 0:
		return string(f.data[:f.synced])
	case 1:
		return string(f.data[:f.synced+lost/2])
	case 2:
		return string(f.data[:f.synced]) + strings.Repeat("x", lost-1) + "\n"
	}
	return string(f.data)
}

// present is where an inode is now, the latest of the boxes.
func (d *disk) present(i int) (string, bool) {
	for _, b := range []string{"bad", "cur", "new", "tmp"} {
		for p, n := range d.names {
			if n.now() == i && box(p) == b {
				return p, true
			}
		}
	}
	return "", false
}

// has tells whether a state has a name for the inode; one in tmp does not count
// for what had left it.
func (s *State) has(i int, notTmp bool) bool {
	for p, n := range s.Names {
		if n == i && !(notTmp && box(p) == "tmp") {
			return true
		}
	}
	return false
}

// States calls f for states that cuts in the record may leave: up to perCut
// different ones after each operation, drawn with the seed. It returns how many
// there were.
func States(ops []Op, perCut int, seed uint64, f func(State) error) (int, error) {
	d := newDisk()
	r := rand.New(rand.NewPCG(seed, 0))
	seen := map[uint64]bool{}
	hash := maphash.MakeSeed()
	var said, gone []string
	total := 0
	for k, op := range ops {
		if err := d.apply(op); err != nil {
			return total, fmt.Errorf("operation %d: %w", k, err)
		}
		switch {
		case op.Kind == Say:
			said = append(said, string(op.Data))
		case op.Kind == Move && box(op.Path) == "cur" && strings.HasSuffix(op.To, ".done"):
			gone = append(gone, op.Path)
		}
		for range 4 * perCut { // many draws are the same
			s := d.pick(r)
			s.Said, s.Gone, s.After = slices.Clone(said), slices.Clone(gone), k+1
			key := maphash.String(hash, fmt.Sprint(s.Names, s.Files, len(s.Said), s.Gone))
			if seen[key] {
				continue
			}
			seen[key] = true
			total++
			if err := f(s); err != nil {
				return total, fmt.Errorf("the state:\n%safter operation %d of %d: %w", s, k+1, len(ops), err)
			}
		}
	}
	return total, nil
}

// Cut returns up to n different states that a cut after the last operation may
// leave, drawn with the seed.
func Cut(ops []Op, n int, seed uint64) ([]State, error) {
	d := newDisk()
	for k, op := range ops {
		if err := d.apply(op); err != nil {
			return nil, fmt.Errorf("operation %d: %w", k, err)
		}
	}
	r := rand.New(rand.NewPCG(seed, 0))
	seen := map[string]bool{}
	var states []State
	for range 8 * n {
		s := d.pick(r)
		if key := fmt.Sprint(s.Names, s.Files); !seen[key] && len(states) < n {
			seen[key] = true
			states = append(states, s)
		}
	}
	return states, nil
}

// Ops are operations that make the state, durably: what a record of what follows
// begins with.
func (s State) Ops() []Op {
	var ops []Op
	first := map[int]string{}
	for _, p := range slices.Sorted(maps.Keys(s.Names)) {
		i := s.Names[p]
		if from, made := first[i]; made {
			ops = append(ops, Op{Kind: Link, Path: from, To: p})
			continue
		}
		first[i] = p
		ops = append(ops, Op{Kind: Create, Path: p}, Op{Kind: Write, Path: p, Data: []byte(s.Files[i])})
	}
	return append(ops, Op{Kind: SyncAll})
}

// String lists a state's names and the lengths of their files.
func (s State) String() string {
	var b strings.Builder
	for p, i := range s.Names {
		fmt.Fprintf(&b, "\t%s: file %d, %d octets\n", p, i, len(s.Files[i]))
	}
	return b.String()
}

// Make makes the state in a directory.
func (s State) Make(dir string) error {
	for _, b := range []string{"tmp", "new", "cur", "bad"} {
		if err := os.MkdirAll(filepath.Join(dir, b), 0o700); err != nil {
			return err
		}
	}
	first := map[int]string{}
	for p, i := range s.Names {
		full := filepath.Join(dir, p)
		if from, made := first[i]; made {
			if err := os.Link(from, full); err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(full, []byte(s.Files[i]), 0o640); err != nil {
			return err
		}
		first[i] = full
	}
	return nil
}
