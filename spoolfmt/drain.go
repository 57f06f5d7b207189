package spoolfmt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"smap/spoolfmt/envelope"
)

// A Message is what Drain hands to a program.
type Message struct {
	ID         string
	Sender     envelope.Path
	Recipients []envelope.Path // those that have not got it yet
	Size       int64
	Content    io.Reader
}

// ErrRefused is for a deliver function of Drain to wrap: the message will never
// be delivered, and a person should look at it.
var ErrRefused = errors.New("refused for good")

// The waits before Drain tries a message again: the first, and the longest.
const (
	firstWait   = time.Minute
	longestWait = 4 * time.Hour
)

// Drain calls deliver for each message and each drop that is due, one at a time,
// and returns when it has been through all of them. A message is finished when
// deliver returns nil. It is set aside when the error wraps ErrRefused, or when
// it is malformed. After any other error it is tried again later, by a later call
// of Drain: after a minute, then two, at last every four hours.
//
// A program that wants each message once calls it again and again, with a pause.
// Others may drain the same spool. The error is of the spool, or the context's;
// what is wrong with one message is in the log.
func (s *Spool) Drain(ctx context.Context, deliver func(*Message) error) error {
	err := s.NewSweeper().Sweep(ctx, s.now())
	for _, box := range []Box{New, Cur} {
		serr := s.Scan(box, func(e Entry) error {
			if err := s.drainOne(box, e, deliver); err != nil {
				s.log.Warn(eventDrain, "file", box.String()+"/"+e.Name, "error", err)
			}
			if s.Unflushed() { // the next delivery may last
				return errors.Join(s.Flush(), ctx.Err())
			}
			return ctx.Err()
		})
		err = errors.Join(err, serr)
	}
	return errors.Join(err, s.flushAll())
}

// drainOne takes the message of a name, if it is due and nobody else has it.
func (s *Spool) drainOne(box Box, e Entry, deliver func(*Message) error) error {
	var c *Claim
	var err error
	switch {
	case e.Kind == KindDrop && box == New:
		c, err = s.ClaimDrop(e.Name)
	case e.Kind == KindDrop:
		c, err = s.RecoverDrop(e.Name)
	case e.Kind != KindEnvelope:
		return nil
	default:
		if info, err := s.Stat(box, e.Name); err != nil || box == Cur && s.deferred(info.ModTime) {
			return ignoreNotExist(err)
		}
		c, err = s.Claim(e.ID)
	}
	if err != nil {
		return passing(err)
	}
	err = c.drain(deliver)
	if rerr := c.Release(); rerr != nil && err == nil { // does nothing where it was finished or set aside
		err = rerr
	}
	return passing(err)
}

// deferred tells whether an envelope in cur with that time is not due yet. A time
// that no wait explains means now.
func (s *Spool) deferred(until time.Time) bool {
	wait := until.Sub(s.now())
	return wait > 0 && wait <= longestWait
}

// drain delivers a claimed message and writes down what came of it.
func (c *Claim) drain(deliver func(*Message) error) error {
	err := c.Load()
	var bad *MalformedError
	if errors.As(err, &bad) {
		return errors.Join(bad, c.SetAside(bad.Error()))
	}
	if err != nil {
		return err
	}
	if len(c.env.Pending()) == 0 {
		return c.conclude()
	}
	if err := c.Reserve(); err != nil {
		return err
	}
	err = deliver(&Message{
		ID: c.id, Sender: c.env.Sender(), Recipients: c.env.Pending(), Size: c.env.Size(),
		Content: io.NewSectionReader(c.Content(), 0, c.env.Size()),
	})
	switch {
	case err == nil:
		return c.delivered()
	case errors.Is(err, ErrRefused):
		return c.SetAside(err.Error())
	}
	return c.postpone(err)
}

// delivered ends a message whose pending recipients have it. Where some others
// failed before, that is written down first.
func (c *Claim) delivered() error {
	if c.failed() == 0 {
		return c.Finish()
	}
	for _, p := range c.env.Pending() {
		if err := c.env.SetOutcome(p.Address, envelope.Outcome{Status: envelope.StatusDelivered, Time: c.s.now()}); err != nil {
			return fmt.Errorf("%s: %w", c.path(KindEnvelope), err)
		}
	}
	if err := c.Record(time.Time{}); err != nil {
		return err
	}
	return c.conclude()
}

// conclude ends a message that has no pending recipient: it is finished, or set aside
// where nobody told the sender of a failure.
func (c *Claim) conclude() error {
	if n := c.failed(); n > 0 {
		return c.SetAside(fmt.Sprintf("%d of %d recipients failed for good", n, len(c.env.Recipients())))
	}
	return c.Finish()
}

func (c *Claim) failed() (n int) {
	for _, r := range c.env.Recipients() {
		if r.Outcome != nil && r.Outcome.Status == envelope.StatusFailed {
			n++
		}
	}
	return n
}

// postpone records an attempt that failed, and when the next one is due.
func (c *Claim) postpone(failed error) error {
	attempts, err := strconv.Atoi(c.env.Get("Attempts"))
	if err != nil {
		attempts = 0 // no such field: the first
	}
	next := c.s.now().Add(min(firstWait<<min(attempts, 16), longestWait))
	for name, value := range map[string]string{
		"Attempts":     strconv.Itoa(attempts + 1),
		"Next-Attempt": envelope.FormatTime(next),
		"Last-Error":   envelope.CleanText("not delivered: "+failed.Error(), 1000),
	} {
		if err := c.env.Set(name, value); err != nil {
			return fmt.Errorf("%s: %w", c.path(KindEnvelope), err)
		}
	}
	return c.Record(next)
}
