package crash

import (
	"fmt"
	"strings"
	"testing"
)

// TestRead joins calls that another process interrupted, and leaves out what
// failed and what is not in the spool.
func TestRead(t *testing.T) {
	dir, name := Octets("/s/new"), Octets("a.eml")
	text := fmt.Sprintf(`1 openat(3<%[1]s>, "%[2]s", O_RDWR|O_CREAT|O_EXCL, 0640) = 4<%[3]s>
2 fsync(4<%[3]s> <unfinished ...>
1 write(4<%[3]s>, "\x68\x69", 2) = 2
1 unlinkat(3<%[1]s>, "%[2]s", 0) = -1 EACCES (Permission denied)
2 <... fsync resumed>) = 0
1 write(5<%[4]s>, "\x32", 1) = 1
1 write(6<%[5]s>, "\x32", 1) = 1
1 +++ exited with 0 +++
`, dir, name, Octets("/s/new/a.eml"), Octets("socket:[1]"), Octets("/elsewhere"))
	ops, err := Read(strings.NewReader(text), "/s")
	if err != nil {
		t.Fatal(err)
	}
	want := []Op{ // a sync is where it began: it need not serve what came while it ran
		{Kind: Create, Path: "new/a.eml"}, {Kind: SyncFile, Path: "new/a.eml"},
		{Kind: Write, Path: "new/a.eml", Data: []byte("hi")}, {Kind: Say, Data: []byte("2")},
	}
	if fmt.Sprint(ops) != fmt.Sprint(want) {
		t.Errorf("read %v, want %v", ops, want)
	}
	if _, err := Read(strings.NewReader(strings.Replace(text, `2) = 2`, `2) = 7`, 1)), "/s"); err == nil {
		t.Error("a write that was recorded in part was accepted")
	}
}

// TestStates wants every outcome of a move, and none in which the file is gone.
func TestStates(t *testing.T) {
	ops := []Op{
		{Kind: Create, Path: "tmp/a"}, {Kind: Write, Path: "tmp/a", Data: []byte("data")}, {Kind: SyncFile, Path: "tmp/a"},
		{Kind: SyncDir, Path: "tmp"}, {Kind: Move, Path: "tmp/a", To: "new/a"},
	}
	seen := map[string]bool{}
	_, err := States(ops, 50, 1, func(s State) error {
		if s.After < 5 {
			return nil
		}
		_, old := s.Names["tmp/a"]
		_, fresh := s.Names["new/a"]
		seen[fmt.Sprint(old, fresh)] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// With the old name alone it is a state that an earlier cut leaves too.
	if fmt.Sprint(seen) != "map[false true:true true true:true]" {
		t.Errorf("states of a move: %v", seen)
	}
	short := 0
	if _, err := States(ops[:2], 50, 1, func(s State) error {
		if i, ok := s.Names["tmp/a"]; ok && s.Files[i] != "data" {
			short++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if short < 2 {
		t.Errorf("%d states with octets missing, want at least two", short)
	}
	if _, err := States([]Op{{Kind: Remove, Path: "new/b"}}, 1, 1, nil); err == nil {
		t.Error("a record that begins in the middle was accepted")
	}
}
