package spoolfmt_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// exampleSpool is a spool of its own for one example.
func exampleSpool() (s *spoolfmt.Spool, end func()) {
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		log.Fatal(err)
	}
	if s, err = spoolfmt.OpenDrainer(dir, spoolfmt.Options{}); err != nil {
		log.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(s.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

// feed puts one message into a spool.
func feed(s *spoolfmt.Spool, content string, to ...string) error {
	var recipients []envelope.Path
	for _, address := range to {
		recipients = append(recipients, envelope.Path{Address: address})
	}
	e, err := envelope.New(envelope.Path{Address: "ann@example.com"}, recipients)
	if err != nil {
		return err
	}
	d, err := s.NewDraft()
	if err != nil {
		return err
	}
	if _, err := d.Write([]byte(content)); err != nil {
		return errors.Join(err, d.Abort())
	}
	return d.Commit(e) // nil: the message is durable, and any drainer may take it
}

// A feeder writes the content into a draft, and commits it with an envelope.
func ExampleSpool_NewDraft() {
	s, end := exampleSpool()
	defer end()
	e, err := envelope.New(envelope.Path{Address: "ann@example.com"}, []envelope.Path{{Address: "bob@example.org"}})
	if err != nil {
		log.Fatal(err)
	}
	d, err := s.NewDraft()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(d, "Subject: hello\n\nIt works.\n"); err != nil {
		log.Fatal(errors.Join(err, d.Abort()))
	}
	if err := d.Commit(e); err != nil {
		log.Fatal(err) // the message is not in the spool
	}
	fmt.Println("accepted:", e.Size(), "octets")
	// Output: accepted: 26 octets
}

// Drain is for a program that wants each message once.
func ExampleSpool_Drain() {
	s, end := exampleSpool()
	defer end()
	if err := feed(s, "Subject: hello\n\nIt works.\n", "bob@example.org"); err != nil {
		log.Fatal(err)
	}
	err := s.Drain(context.Background(), func(m *spoolfmt.Message) error {
		text, err := io.ReadAll(m.Content)
		fmt.Printf("to %s: %s\n", m.Recipients[0].Address, strings.SplitN(string(text), "\n", 2)[0])
		return err // nil: done; another error: again later; ErrRefused: never
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: to bob@example.org: Subject: hello
}

// A drainer that gives each recipient its own outcome does the steps by itself.
func ExampleSpool_Claim() {
	s, end := exampleSpool()
	defer end()
	for _, m := range []string{"Subject: one\n\nx\n", "not\r\na message"} {
		if err := feed(s, m, "bob@example.org", "nobody@example.org"); err != nil {
			log.Fatal(err)
		}
	}
	take := func(id string) error {
		c, err := s.Claim(id)
		if err != nil {
			return nil // somebody else has it: ErrBusy and its like
		}
		defer c.Release() //nolint:errcheck // it does nothing after Finish and SetAside
		var bad *spoolfmt.MalformedError
		if err := c.Load(); errors.As(err, &bad) {
			fmt.Println("set aside: a content has no CR")
			return c.SetAside(bad.Error())
		} else if err != nil {
			return err // the system's trouble: look again later
		}
		if err := c.Reserve(); err != nil {
			return err // no room for an outcome: deliver nothing
		}
		for _, to := range c.Envelope().Pending() {
			o := envelope.Outcome{Status: envelope.StatusDelivered, Time: time.Now()}
			if strings.HasPrefix(to.Address, "nobody") {
				o = envelope.Outcome{Status: envelope.StatusFailed, Time: time.Now(), Text: "no such user"}
			}
			fmt.Println(to.Address, o.Status)
			if err := c.Envelope().SetOutcome(to.Address, o); err != nil {
				return err
			}
			if err := c.Record(time.Time{}); err != nil {
				return err
			}
		}
		return c.Finish()
	}
	err := s.Scan(spoolfmt.New, func(e spoolfmt.Entry) error {
		if e.Kind != spoolfmt.KindEnvelope {
			return nil
		}
		return take(e.ID)
	})
	if err := errors.Join(err, s.Flush()); err != nil { // at least once in a second
		log.Fatal(err)
	}
	// Unordered output:
	// bob@example.org delivered
	// nobody@example.org failed
	// set aside: a content has no CR
}

// Check compares a spool with the format, beside everybody who works on it.
func ExampleSpool_Check() {
	s, end := exampleSpool()
	defer end()
	if err := os.WriteFile(s.Path(spoolfmt.New)+"/README", []byte("x"), 0o600); err != nil {
		log.Fatal(err)
	}
	err := s.Check(context.Background(), spoolfmt.CheckOptions{}, func(f spoolfmt.Finding) {
		if f.File != "." { // the mode of a temporary directory
			fmt.Println(f.String())
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: new/README: not a name of the format; ignored (section 2.1)
}
