package crash

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recorded are the operations of a record that is kept.
func recorded(t *testing.T, name string) []Op {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ops, err := Read(f, "/var/tmp/crash-record/spool")
	if err != nil || len(ops) < 50 {
		t.Fatalf("%d operations: %v", len(ops), err)
	}
	return ops
}

// TestFollow: the records of our programs are paths of the format.
func TestFollow(t *testing.T) {
	for name, least := range map[string]int{"session.strace": 4, "together.strace": 6} {
		f := NewFollower()
		if err := f.Follow(recorded(t, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if f.Messages() < least {
			t.Errorf("%s: only %d messages", name, f.Messages())
		}
		if f.Answers() == 0 {
			t.Errorf("%s: no answer was looked at", name)
		}
	}
}

// TestFollowNotices plants a step too early, or leaves a sync out; each must be rejected.
func TestFollowNotices(t *testing.T) {
	for name, plant := range map[string]func([]Op) []Op{
		"no sync of contents":  without(func(op Op) bool { return op.Kind == SyncFile && strings.HasSuffix(op.Path, ".eml") }),
		"no sync of envelopes": without(func(op Op) bool { return op.Kind == SyncFile && strings.HasSuffix(op.Path, ".envelope") }),
		"no sync of new":       without(func(op Op) bool { return op.Kind == SyncDir && op.Path == "new" }),
		"no sync of cur":       without(func(op Op) bool { return op.Kind == SyncDir && op.Path == "cur" }),
		"no sync of bad":       without(func(op Op) bool { return op.Kind == SyncDir && op.Path == "bad" }),
		"the envelope first": exchanged(func(op Op) bool {
			return op.Kind == Move && strings.HasPrefix(op.To, "new/") && strings.HasSuffix(op.To, ".eml")
		},
			func(op Op) bool {
				return op.Kind == Move && strings.HasPrefix(op.To, "new/") && strings.HasSuffix(op.To, ".envelope")
			}),
		"the content claimed first": exchanged(func(op Op) bool {
			return op.Kind == Move && strings.HasPrefix(op.To, "cur/") && strings.HasSuffix(op.To, ".envelope")
		},
			func(op Op) bool {
				return op.Kind == Move && strings.HasPrefix(op.To, "cur/") && strings.HasSuffix(op.To, ".eml")
			}),
		"the answer before the last sync": exchanged(func(op Op) bool { return op.Kind == SyncDir && op.Path == "new" }, answer),
		"an answer without an id": func(ops []Op) []Op {
			ops = slices.Clone(ops)
			ops[slices.IndexFunc(ops, answer)].Data = []byte("250 Mail accepted\r\n")
			return ops
		},
		"no .done": without(func(op Op) bool { return strings.HasSuffix(op.To, ".done") }),
	} {
		ops := plant(recorded(t, "session.strace"))
		if err := NewFollower().Follow(ops); err == nil {
			t.Errorf("%s was not noticed", name)
		}
	}
}

// answer tells whether a client is told that its message is safe.
func answer(op Op) bool { return op.Kind == Say && strings.Contains(string(op.Data), "Mail accepted") }

// without leaves operations out.
func without(drop func(Op) bool) func([]Op) []Op {
	return func(ops []Op) []Op { return slices.DeleteFunc(slices.Clone(ops), drop) }
}

// exchanged exchanges the first operation of a kind with the first of another after it.
func exchanged(one, other func(Op) bool) func([]Op) []Op {
	return func(ops []Op) []Op {
		ops = slices.Clone(ops)
		i := slices.IndexFunc(ops, one)
		j := i + slices.IndexFunc(ops[i:], other)
		ops[i], ops[j] = ops[j], ops[i]
		return ops
	}
}
