package spoolfmt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"smap/internal/crash"
	"smap/spoolfmt/envelope"
)

// What can happen to a message, one step at a time.

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
	if there, err := s.exists(New, "d.mail"); err != nil || there {
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
	if there, err := s.exists(Cur, "m"+k.Suffix()); err != nil || there {
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
