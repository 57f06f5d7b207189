//go:build system

package crash

import (
	"fmt"
	"net/smtp"
	"strings"
	"sync"
	"time"

	"smap/internal/systest/kit"
)

// acknowledged are the messages that clients were told are accepted, in the order of time. It is in the memory of the
// test, which no cut reaches.
type acknowledged struct {
	mu    sync.Mutex
	marks []string
}

func (a *acknowledged) add(mark string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.marks = append(a.marks, mark)
}

// all are those so far.
func (a *acknowledged) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.marks[:len(a.marks):len(a.marks)]
}

// taker is the agent behind a sink: it writes down what came, and complaints.
type taker struct {
	delay time.Duration
	hold  func() bool // nil: never; else no message is taken while it is true
	mu    sync.Mutex
	since map[string]time.Time // by mark, when it came first
	wrong []string
}

func (k *taker) reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.since, k.wrong = nil, nil
}

func (k *taker) complaints() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wrong
}

func (k *taker) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.since)
}

// take wants an envelope and a content of one mark, and each mark once.
func (k *taker) take(m kit.Sunk) {
	time.Sleep(k.delay)
	for k.hold != nil && k.hold() {
		time.Sleep(5 * time.Millisecond)
	}
	mark, _, _ := strings.Cut(strings.TrimPrefix(m.Mail, "<"), "@")
	to := strings.Join(m.Rcpt, " ")
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.since == nil {
		k.since = map[string]time.Time{}
	}
	if !strings.HasPrefix(to, "<"+mark+"@system.test>") || len(m.Rcpt) != 1 {
		k.wrong = append(k.wrong, fmt.Sprintf("%s came for %s", mark, to))
	}
	if got := kit.Split(m.Content).Rest; got != kit.CutContent(mark) {
		k.wrong = append(k.wrong, fmt.Sprintf("%s came with another content, of %d octets: %q", mark, len(got), kit.Head(got, 100)))
	}
	if _, again := k.since[mark]; again {
		k.wrong = append(k.wrong, mark+" came twice")
		return
	}
	k.since[mark] = time.Now()
}

// backlog is how many accepted messages may wait for their delivery.
const backlog = 50

// client sends one message after the other, with a pause while many wait, until the run is over.
func (r *cutRun) client(number, port int) error {
	c, err := smtp.Dial(kit.Local(port))
	if err != nil {
		return err
	}
	defer c.Close()
	for i := 0; ; {
		select {
		case <-r.stop:
			return c.Quit()
		case <-time.After(5 * time.Millisecond):
		}
		if len(r.acked.all())-r.live.count() > backlog {
			continue
		}
		i++
		mark := fmt.Sprintf("m%d-%d", number, i)
		if err := sendMarked(c, mark); err != nil {
			return fmt.Errorf("%s: %w", mark, err)
		}
		r.acked.add(mark)
	}
}

// sendMarked returns nil only if the message was accepted.
func sendMarked(c *smtp.Client, mark string) error {
	if err := c.Mail(mark + "@client.test"); err != nil {
		return err
	}
	if err := c.Rcpt(mark + "@system.test"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(kit.CRLF(kit.CutContent(mark)))); err != nil {
		return err
	}
	return w.Close()
}
