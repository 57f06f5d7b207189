package spoolfmt

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// taped records which calls change names, and what is synced, in their order. A private
// name is "tmp".
func (x *testSpool) taped() *[]string {
	calls := new([]string)
	real := x.sys
	box := func(dir int) string {
		for b := Tmp; b <= Bad; b++ {
			if x.dirs[b] == dir {
				return b.String()
			}
		}
		return "file"
	}
	path := func(dir int, name string) string {
		if dir == x.dirs[Tmp] {
			return "tmp"
		}
		return box(dir) + "/" + name
	}
	say := func(words ...string) { *calls = append(*calls, strings.Join(words, " ")) }
	x.sys.fsync = func(fd int) error { say("sync", box(fd)); return real.fsync(fd) }
	x.sys.unlink = func(dir int, name string) error {
		err := real.unlink(dir, name)
		if err == nil && dir != x.dirs[Tmp] {
			say("remove", path(dir, name))
		}
		return err
	}
	for word, call := range map[string]*func(int, string, int, string) error{"move": &x.sys.move, "rename": &x.sys.replace, "link": &x.sys.link} {
		do := *call
		*call = func(a int, from string, b int, to string) error {
			err := do(a, from, b, to)
			if err == nil {
				say(word, path(a, from), path(b, to))
			}
			return err
		}
	}
	return calls
}

// TestOrder compares every change and every sync of what SPOOL-FORMAT.md tells a drainer and
// a person to do with the order in which it tells it. What is left out shows.
func TestOrder(t *testing.T) {
	pair := func(box string) map[string]string {
		return map[string]string{box + "/m.eml": "x\n", box + "/m.envelope": envelopeText(2)}
	}
	claimed := func(then func(*Claim) error) func(*testSpool) error {
		return func(x *testSpool) error {
			c := x.claim("m")
			err := c.Load()
			var bad *MalformedError
			if errors.As(err, &bad) {
				err = nil
			}
			return errors.Join(err, then(c), x.Flush())
		}
	}
	record := "sync file, rename tmp cur/m.envelope, sync cur, "
	tests := map[string]struct {
		files map[string]string
		links [][2]string
		do    func(*testSpool) error
		want  string
	}{
		"claim, record, finish (9.1, 9.4, 9.5)": {pair("new"), nil, claimed(func(c *Claim) error { return errors.Join(c.Record(time.Time{}), c.Finish()) }),
			"move new/m.envelope cur/m.envelope, move new/m.eml cur/m.eml, sync new, sync cur, " + record +
				"rename cur/m.envelope cur/m.done, sync new, sync cur, remove cur/m.eml, sync cur, remove cur/m.done"},
		"set aside (9.6)": {pair("cur"), nil, claimed(func(c *Claim) error { return c.SetAside("no") }),
			"sync new, sync cur, " + record + "link cur/m.eml bad/m.eml, link cur/m.envelope bad/m.envelope, sync file, sync bad, " +
				"remove cur/m.envelope, sync cur, sync new, remove cur/m.eml"},
		"requeue (9.7)": {pair("bad"), nil, func(x *testSpool) error { return x.Requeue("m") },
			"sync file, rename tmp bad/m.envelope, sync bad, move bad/m.eml new/m.eml, move bad/m.envelope new/m.envelope, sync new, sync bad"},
		"delete in cur (9.7)": {pair("cur"), nil, func(x *testSpool) error { return x.Delete("m") },
			"rename cur/m.envelope cur/m.done, sync new, sync cur, remove cur/m.eml, sync cur, remove cur/m.done"},
		"delete in bad (9.7)": {pair("bad"), nil, func(x *testSpool) error { return x.Delete("m") },
			"rename bad/m.envelope bad/m.done, sync new, sync bad, remove bad/m.eml, sync bad, remove bad/m.done"},
		"DONE (10.2)": {map[string]string{"cur/m.eml": "x\n", "cur/m.done": envelopeText(2)}, nil, (*testSpool).drained,
			"sync new, sync cur, remove cur/m.eml, sync cur, remove cur/m.done"},
		"ENDED (10.3)": {map[string]string{"cur/m.done": envelopeText(2)}, nil, (*testSpool).drained, "sync cur, remove cur/m.done"},
		"ENDED, and a drop (10.3)": {map[string]string{"cur/m.done": envelopeText(2), "cur/m.mail": "x\n"}, nil, func(x *testSpool) error {
			if err := x.ended("m"); !errors.Is(err, ErrBusy) {
				return errors.Join(errors.New("not busy"), err)
			}
			return nil
		}, ""},
		"ENDED, and a content that appears (10.3)": {map[string]string{"cur/m.done": envelopeText(2), "cur/m.eml": "x\n"}, nil, func(x *testSpool) error {
			if err := x.ended("m"); !errors.Is(err, ErrBusy) {
				return errors.Join(errors.New("not busy"), err)
			}
			return nil
		}, ""},
		"LEFT (10.2)": {pair("cur"), [][2]string{{"cur/m.eml", "bad/m.eml"}, {"cur/m.envelope", "bad/m.envelope"}}, (*testSpool).drained,
			"sync bad, remove cur/m.envelope, sync cur, sync new, remove cur/m.eml"},
		"LOST (10.2)": {map[string]string{"cur/m.eml": "x\n"}, nil, (*testSpool).drained, "move cur/m.eml bad/m.eml, sync bad, sync cur"},
		"HALF (10.2)": {map[string]string{"new/m.eml": "x\n"}, nil, (*testSpool).drained, "move new/m.eml bad/m.eml, sync bad, sync new"},
		"ALONE (10.3)": {map[string]string{"new/m.envelope": envelopeText(2)}, nil, (*testSpool).drained,
			"move new/m.envelope bad/m.envelope, sync bad, sync new, sync cur, sync file, rename tmp bad/m.envelope, sync bad"},
		"MADE (A.3)": {map[string]string{"cur/m.mail": "x\n", "cur/m.eml": "x\n", "cur/m.envelope": envelopeText(2)}, nil, func(x *testSpool) error {
			return released(x.RecoverDrop("m.mail"))
		}, "sync cur, remove cur/m.mail"},
		"DROP (A.3)": {map[string]string{"cur/m.mail": testMail}, nil, func(x *testSpool) error { return released(x.RecoverDrop("m.mail")) },
			"sync file, sync file, sync new, move tmp cur/m.eml, move tmp cur/m.envelope, sync cur, remove cur/m.mail"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			x := newTestSpool(t)
			for file, text := range test.files {
				x.put(file, text)
			}
			for _, l := range test.links {
				x.link(l[0], l[1])
			}
			calls := x.taped()
			if err := test.do(x); err != nil {
				t.Error(err)
			}
			if got := strings.Join(*calls, ", "); got != test.want {
				t.Errorf("did:  %s\nwant: %s", got, test.want)
			}
		})
	}
}

// drained is what a drainer does with the id m in some days.
func (x *testSpool) drained() error {
	for range 4 {
		c, err := x.Claim("m")
		if err == nil {
			err = c.SetAside("alone")
		}
		if err = passing(err); err != nil {
			return err
		}
		x.pass(Orphaned + time.Minute)
		if err := x.NewSweeper().Sweep(x.t.Context(), x.clock); err != nil {
			return err
		}
	}
	return nil
}
