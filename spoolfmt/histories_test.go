package spoolfmt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/crash"
	"smap/spoolfmt/envelope"
)

// All short histories of a spool: whatever is done to a message, by programs, by
// persons and by crashes, a drainer that comes after it leaves it delivered or in
// bad, whole, and not twice without a reason.

// A history is a spool, what was done to it, and what the world knows of it.
type history struct {
	x       *testSpool
	ops     *[]crash.Op
	leak    func(*syscalls) // a planted defect, nil for none
	msgs    []*fed
	c       *Claim
	blind   bool
	crashed bool
	person  bool // a person has moved single files: nothing is promised but that mail is there
}

// A fed message has two recipients: bits 1 and 2.
type fed struct {
	content  string
	accepted bool
	deleted  bool // by a person
	got      int
	recorded int // of these, durably
	may      int // may be delivered again: SPOOL-FORMAT.md, 13
}

const bothGot = 3

// begin opens the directory as a process that has just started does.
func (h *history) begin(dir string, before []crash.Op) {
	s, err := OpenDrainer(dir, Options{})
	if err != nil {
		h.x.t.Fatal(err)
	}
	h.x = &testSpool{Spool: s, t: h.x.t, dir: dir, clock: h.x.clock}
	s.now = func() time.Time { return h.x.clock }
	h.ops = h.x.record()
	*h.ops = before
	open := s.sys.open
	s.sys.open = func(dir int, name string, flags int, mode uint32) (int, error) {
		if h.blind && strings.HasSuffix(name, ".eml") && flags&unix.O_CREAT == 0 {
			return -1, unix.EACCES
		}
		return open(dir, name, flags, mode)
	}
	if h.leak != nil {
		h.leak(&s.sys)
	}
	h.c = nil
}

// end is the death of the process: its locks go, and nothing else is written.
func (h *history) end() {
	for _, c := range append(h.x.finished.done, h.c) {
		if c != nil && c.locked != nil {
			_ = c.locked.Close()
		}
	}
	for _, fd := range h.x.dirs {
		_ = unix.Close(fd)
	}
	for _, m := range h.msgs {
		m.may |= m.got &^ m.recorded
	}
	h.crashed = true
}

// message is the one with that content, whose recipients are those of that
// envelope: any other pair is the worst of errors.
func (h *history) message(c *Claim) (*fed, error) {
	text, err := whole(c.Content())
	if err != nil {
		return nil, err
	}
	for i, m := range h.msgs {
		if m.content == text && c.Envelope().Recipients()[0].Address == fmt.Sprintf("b%d@example.org", i) {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%q was delivered to %v", text, c.Envelope().Recipients()[0].Address)
}

// deliver gives the claimed message to its pending recipients, at most that many.
func (h *history) deliver(most int) (*fed, error) {
	m, err := h.message(h.c)
	if err != nil {
		return nil, err
	}
	for _, to := range h.c.Envelope().Pending() {
		bit := map[byte]int{'b': 1, 'c': 2}[to.Address[0]]
		if most--; most < 0 {
			break
		}
		if m.got&bit != 0 && m.may&bit == 0 && !h.person {
			return nil, fmt.Errorf("%q was delivered to %s again", m.content, to.Address)
		}
		if m.deleted && m.may&bit == 0 && !h.person {
			return nil, fmt.Errorf("%q was deleted, and delivered to %s", m.content, to.Address)
		}
		m.got, m.may = m.got|bit, m.may&^bit
	}
	return m, nil
}

// draft is a new message, of which nothing is in the spool yet.
func (h *history) draft() (*fed, *envelope.Envelope, error) {
	n := len(h.msgs)
	m := &fed{content: fmt.Sprintf("Subject: message %d\n\n%s\n", n, strings.Repeat("text ", n))}
	h.msgs = append(h.msgs, m)
	e, err := envelope.New(envelope.Path{Address: "a@example.com"},
		[]envelope.Path{{Address: fmt.Sprintf("b%d@example.org", n)}, {Address: fmt.Sprintf("c%d@example.org", n)}})
	return m, e, err
}

// A step does one thing. False: it cannot be done now, or would do nothing.
type step struct {
	name string
	do   func(h *history) (bool, error)
}

func (h *history) loaded() (ok bool, err error) {
	if h.c == nil {
		return false, nil
	}
	err = h.c.Load()
	return err == nil, nil
}

// steps are all of them. A power cut is several, of which each leaves another state.
func steps(cuts int) []step {
	list := []step{
		{"feed", (*history).feed}, {"feed with two syncs", (*history).feedTwoSyncs}, {"drop", (*history).feedDrop},
		{"claim", func(h *history) (bool, error) {
			if h.c != nil {
				return false, nil
			}
			c, err := h.x.Claim("m")
			h.c = c
			return err == nil, nil
		}},
		{"record", func(h *history) (bool, error) { return h.recordStep(1, false) }},
		{"defer", func(h *history) (bool, error) { return h.recordStep(0, true) }},
		{"deliver and finish", func(h *history) (bool, error) {
			if ok, err := h.loaded(); !ok {
				return false, err
			}
			if _, err := h.deliver(2); err != nil {
				return true, err
			}
			err := h.c.Finish()
			h.c = nil
			return true, err
		}},
		{"flush", func(h *history) (bool, error) {
			ok := h.x.Unflushed()
			err := h.x.Spool.Flush()
			if h.c == nil {
				h.durable()
			}
			return ok, err
		}},
		{"set aside", func(h *history) (bool, error) {
			if h.c == nil {
				return false, nil
			}
			var bad *MalformedError
			if err := h.c.Load(); err != nil && !errors.As(err, &bad) {
				return false, nil
			}
			err := h.c.SetAside("a test")
			if err != nil && h.person { // there is nothing left to set aside
				err = h.c.Release()
			}
			h.c = nil
			return true, err
		}},
		{"requeue", func(h *history) (bool, error) { return h.x.Requeue("m") == nil, nil }},
		{"delete", (*history).remove},
		{"kill", func(h *history) (bool, error) {
			idle := h.c == nil && !h.x.Unflushed()
			h.end()
			h.begin(h.x.dir, *h.ops)
			return !idle, nil
		}},
		{"permission taken", func(h *history) (bool, error) { h.blind = !h.blind; return h.blind, nil }},
		{"content moved from cur to new", func(h *history) (bool, error) { return h.move(Cur, New, KindContent) }},
		{"envelope moved from cur to new", func(h *history) (bool, error) { return h.move(Cur, New, KindEnvelope) }},
		{"content moved from cur to bad", func(h *history) (bool, error) { return h.move(Cur, Bad, KindContent) }},
		{"content restored", func(h *history) (bool, error) { return h.restore(KindContent) }},
		{"envelope restored", func(h *history) (bool, error) { return h.restore(KindEnvelope) }},
	}
	for n := range cuts {
		list = append(list, step{fmt.Sprintf("power cut (%d)", n), func(h *history) (bool, error) { return true, h.cut(n, cuts) }})
	}
	return list
}

// durable: what was delivered until now is so for good.
func (h *history) durable() {
	for _, m := range h.msgs {
		m.recorded = m.got
	}
}

func (h *history) feed() (bool, error) {
	m, e, err := h.draft()
	if err != nil {
		return false, err
	}
	if there, err := h.x.filesIn(Tmp, "m"); err != nil || there.either().Ino != 0 || there.content.Ino != 0 {
		return false, err // left by a cut: nobody else has these names
	}
	d, err := h.x.newDraft("m")
	if err != nil {
		return false, err
	}
	if _, err = d.Write([]byte(m.content)); err == nil {
		err = d.Commit(e)
	}
	m.accepted = err == nil
	return true, err
}

func (h *history) feedTwoSyncs() (bool, error) {
	m, e, err := h.draft()
	if err != nil {
		return false, err
	}
	e.SetSize(int64(len(m.content)))
	data, err := e.Marshal()
	if err != nil {
		return false, err
	}
	s := h.x.Spool
	c, env := privateName("m", "c"), privateName("m", "e")
	for name, text := range map[string][]byte{c: []byte(m.content), env: data} {
		fd, err := s.create(name)
		if err == nil {
			_, err = s.fillAndClose(fd, text)
		}
		if err != nil {
			return false, err
		}
	}
	if there, err := s.filesIn(New, "m"); err != nil || there.env.Ino != 0 || there.content.Ino != 0 {
		return false, err
	}
	err = s.sys.move(s.dirs[Tmp], c, s.dirs[New], "m.eml")
	if err == nil {
		err = s.sys.move(s.dirs[Tmp], env, s.dirs[New], "m.envelope")
	}
	if err == nil {
		err = s.syncBoxes(New)
	}
	m.accepted = err == nil
	return true, err
}

func (h *history) feedDrop() (bool, error) {
	n := len(h.msgs)
	m := &fed{content: fmt.Sprintf("From: a@example.com\nTo: b%d@example.org, c%d@example.org\nDate: Mon, 23 Nov 2026 20:04:13 +0000\nMessage-ID: <x@y>\n\nx\n", n, n)}
	s := h.x.Spool
	if there, err := exists(s.dirs[New], "d.mail"); err != nil || there {
		return false, err
	}
	h.msgs = append(h.msgs, m)
	private := privateName("d", "drop")
	fd, err := s.create(private)
	if err == nil {
		_, err = s.fillAndClose(fd, []byte(m.content))
	}
	if err == nil {
		err = s.sys.move(s.dirs[Tmp], private, s.dirs[New], "d.mail")
	}
	if err == nil {
		err = s.syncBoxes(New)
	}
	m.accepted = err == nil
	return true, err
}

// recordStep delivers to some and writes that down.
func (h *history) recordStep(most int, release bool) (bool, error) {
	if ok, err := h.loaded(); !ok {
		return false, err
	}
	pending := h.c.Envelope().Pending()
	m, err := h.deliver(most)
	if err != nil || len(pending) <= most {
		return false, err
	}
	for _, to := range pending[:most] {
		if err := h.c.Envelope().SetOutcome(to.Address, envelope.Outcome{Status: envelope.StatusDelivered, Time: h.x.clock}); err != nil {
			return true, err
		}
	}
	if err := h.c.Record(time.Time{}); err != nil {
		return true, err
	}
	m.recorded = m.got
	if release {
		err = h.c.Release()
		h.c = nil
	}
	return true, err
}

// remove is a person's delete.
func (h *history) remove() (bool, error) {
	before := h.contents()
	if h.x.Delete("m") != nil {
		return false, nil
	}
	after := h.contents()
	for _, m := range h.msgs {
		if before[m.content] > after[m.content] {
			m.deleted, m.may = true, 0
		}
	}
	return true, nil
}

// contents counts the contents in new, cur and bad.
func (h *history) contents() map[string]int {
	found := map[string]int{}
	for _, b := range []string{"new", "cur", "bad"} {
		names, _ := filepath.Glob(filepath.Join(h.x.dir, b, "*")) // the pattern is good
		for _, name := range names {
			if strings.HasSuffix(name, ".eml") || strings.HasSuffix(name, ".mail") {
				text, _ := os.ReadFile(name) // what cannot be read is not there
				found[string(text)]++
			}
		}
	}
	return found
}

// cut is a power cut: the nth of that many of the states that it may leave.
func (h *history) cut(nth, of int) error {
	states, err := crash.Cut(*h.ops, of, uint64(len(*h.ops)))
	if err != nil {
		return err
	}
	h.end()
	s := states[min(nth, len(states)-1)]
	dir, err := stateDir(h.x.t)
	if err == nil {
		err = s.Make(dir)
	}
	if err != nil {
		return err
	}
	_ = os.RemoveAll(h.x.dir) // the test's own
	h.begin(dir, s.Ops())
	return nil
}

// move is a person who moves one file of a pair.
func (h *history) move(from, to Box, k Kind) (bool, error) {
	s := h.x.Spool
	err := s.sys.move(s.dirs[from], "m"+k.Suffix(), s.dirs[to], "m"+k.Suffix())
	h.person = h.person || err == nil
	return err == nil, nil
}

// restore brings a file of the first message back into cur.
func (h *history) restore(k Kind) (bool, error) {
	m, s := h.msgs[0], h.x.Spool
	text := m.content
	if k == KindEnvelope {
		text = fmt.Sprintf("Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b0@example.org>\nRecipient: <c0@example.org>\nSize: %d\n\n", len(m.content))
	}
	if there, err := exists(s.dirs[Cur], "m"+k.Suffix()); err != nil || there {
		return false, err
	}
	private := privateName("m", "restored")
	fd, err := s.create(private)
	if err == nil {
		_, err = s.fillAndClose(fd, []byte(text))
	}
	if err == nil {
		err = s.sys.move(s.dirs[Tmp], private, s.dirs[Cur], "m"+k.Suffix())
	}
	h.person, m.may = true, bothGot
	return true, err
}

// drain is a drainer that comes after it all, with 36 hours between its rounds.
func (h *history) drain() error {
	crashed := h.crashed
	h.end()
	h.blind, h.crashed = false, crashed || h.c != nil || len(h.x.finished.done) > 0
	h.begin(h.x.dir, nil)
	sweeper := h.x.NewSweeper()
	for range 10 {
		for _, name := range dropNames(h.x.Spool) {
			c, err := takeNamed(h.x.Spool, name)
			if err != nil {
				continue // what should pass; what does not is found below
			}
			h.c = c
			var bad *MalformedError
			err = c.Load()
			switch {
			case errors.As(err, &bad):
				err = c.SetAside("malformed")
			case err == nil:
				if _, err = h.deliver(2); err == nil {
					err = c.Finish()
				}
			}
			if err != nil {
				return err
			}
		}
		if err := h.x.Flush(); err != nil {
			return err
		}
		h.x.pass(Orphaned + time.Minute)
		if err := sweeper.Sweep(h.x.t.Context(), h.x.clock); err != nil {
			return err
		}
	}
	return nil
}

// judge compares what is there with what was promised.
func (h *history) judge() error {
	if left := h.x.namesIn("tmp", "new", "cur"); len(left) > 0 {
		return fmt.Errorf("left: %q", left)
	}
	inBad := h.contents()
	for _, m := range h.msgs {
		switch {
		case m.accepted && !m.deleted && m.got != bothGot && inBad[m.content] == 0:
			return fmt.Errorf("%q is lost", m.content)
		case (m.recorded == bothGot || m.got == bothGot && !h.crashed) && inBad[m.content] > 0 && !h.person:
			return fmt.Errorf("%q was delivered, and is in bad", m.content)
		}
	}
	for _, name := range h.x.namesIn("bad") {
		id, kind := SplitName(strings.TrimPrefix(name, "bad/"))
		if there, err := exists(h.x.dirs[Bad], id+KindContent.Suffix()); err != nil || kind == KindEnvelope && !there && !h.person {
			return fmt.Errorf("%s is alone (%v)", name, err)
		}
	}
	return nil
}

// runHistory does the steps after a message was fed. False: some step could not be done.
func runHistory(t *testing.T, leak func(*syscalls), all []step) (bool, error) {
	dir, err := stateDir(t)
	if err != nil {
		t.Fatal(err)
	}
	h := &history{x: &testSpool{t: t, dir: dir, clock: time.Now()}, leak: leak}
	defer func() {
		for _, fd := range h.x.dirs {
			_ = unix.Close(fd)
		}
		_ = os.RemoveAll(h.x.dir)
	}()
	h.begin(dir, nil)
	if _, err := h.feed(); err != nil {
		return false, err
	}
	for _, s := range all {
		if ok, err := s.do(h); err != nil || !ok {
			return err != nil, err
		}
	}
	if err := h.drain(); err != nil {
		return true, err
	}
	return true, h.judge()
}

// walk runs every history of up to depth steps, and calls bad for each that ends
// badly, until it returns false. It returns how many there were.
func walk(t *testing.T, leak func(*syscalls), from []step, depth int, before []step, bad func([]step, error) bool) (n int, more bool) {
	for _, s := range from {
		all := append(before[:len(before):len(before)], s)
		ran, err := runHistory(t, leak, all)
		if err != nil && !bad(all, err) {
			return n, false
		}
		if !ran {
			continue
		}
		n++
		if depth > 1 {
			k, more := walk(t, leak, from, depth-1, all, bad)
			if n += k; !more {
				return n, false
			}
		}
	}
	return n, true
}

func TestHistories(t *testing.T) {
	t.Parallel()
	depth, least := 3, 700
	if testing.Short() {
		depth, least = 2, 80
	}
	bad := 0
	n, _ := walk(t, nil, steps(4), depth, nil, func(all []step, err error) bool {
		t.Errorf("feed, %s: %v", named(all), err)
		bad++
		return bad < 20
	})
	t.Logf("%d histories of up to %d steps after a message was fed", n, depth)
	if n < least {
		t.Errorf("these are too few: %d were known", least)
	}
}

func named(all []step) string {
	var names []string
	for _, s := range all {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// TestHistoriesFindDefects leaves out one rule of the document at a time: some
// history must show it.
func TestHistoriesFindDefects(t *testing.T) {
	if testing.Short() {
		t.Skip("takes tens of seconds")
	}
	t.Parallel()
	silent := func(*syscalls) func(int) error { return func(int) error { return nil } }
	for name, leak := range map[string]func(*syscalls){
		"no sync of anything": func(s *syscalls) { s.fsync = silent(s) },
		"finish removes the envelope": func(s *syscalls) {
			replace, unlink := s.replace, s.unlink
			s.replace = func(a int, from string, b int, to string) error {
				if strings.HasSuffix(to, ".done") {
					return errors.Join(unlink(a, from), os.ErrNotExist)
				}
				return replace(a, from, b, to)
			}
		},
		"a move replaces": func(s *syscalls) { s.move = s.replace },
		"the content goes before .done is durable": func(s *syscalls) {
			replace, unlink := s.replace, s.unlink
			s.replace = func(a int, from string, b int, to string) error {
				err := replace(a, from, b, to)
				if id, ok := strings.CutSuffix(to, ".done"); ok && err == nil {
					return unlink(b, id+".eml")
				}
				return err
			}
		},
		"the content is removed where the envelope should become .done": func(s *syscalls) {
			replace, unlink := s.replace, s.unlink
			s.replace = func(a int, from string, b int, to string) error {
				if id, ok := strings.CutSuffix(to, ".done"); ok {
					return unlink(b, id+".eml")
				}
				return replace(a, from, b, to)
			}
		},
		"no link into bad": func(s *syscalls) {
			s.link = func(int, string, int, string) error { return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := ""
			for depth := 1; depth <= 3 && found == ""; depth++ { // the short ones first
				walk(t, leak, steps(16), depth, nil, func(all []step, err error) bool {
					found = named(all) + ": " + err.Error()
					return false
				})
			}
			if found == "" {
				t.Error("no history shows it")
			}
			t.Log(found)
		})
	}
}
