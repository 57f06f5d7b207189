package spoolfmt

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/crash"
	"smap/spoolfmt/envelope"
)

// A history is a spool, what was done to it, and what the world knows of it.
type history struct {
	x       *testSpool
	ops     *[]crash.Op
	leak    func(*Spool) // a planted defect, nil for none
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
		h.leak(s)
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
		most--
		if most < 0 {
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
		if there, err := h.x.exists(Bad, id+KindContent.Suffix()); err != nil || kind == KindEnvelope && !there && !h.person {
			return fmt.Errorf("%s is alone (%v)", name, err)
		}
	}
	return nil
}
