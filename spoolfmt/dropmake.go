package spoolfmt

import (
	"errors"
	"fmt"
	"io"
	"os"

	"smap/spoolfmt/envelope"
)

// makeMessage makes a message of the locked drop cur/<id>.mail, durably, and
// removes the drop. It takes over f. After an error the drop is in cur still,
// for RecoverDrop, or in bad.
func (s *Spool) makeMessage(f *os.File, id string) (*Claim, error) {
	mail := id + KindDrop.Suffix()
	d, err := s.draftOfDrop(f, id)
	if err == nil {
		if err = s.placeDraft(d, f, id); err == nil {
			err = s.removeDrop(mail)
		}
		if err != nil {
			err = errors.Join(err, d.Abort())
		}
	}
	var bad *envelope.ParseError
	switch {
	case errors.As(err, &bad):
		err = s.asideDrop(Cur, mail, bad)
	case err != nil:
		err = fmt.Errorf("cur/%s: %w", mail, err)
	default:
		_ = s.sys.close(d.envFD) // what was synced, no close can lose
		_ = release(f)           // nobody looks at a drop that is gone
		return &Claim{s: s, id: id, locked: os.NewFile(uintptr(d.content), id), movesSynced: true}, nil
	}
	return nil, errors.Join(err, release(f))
}

// removeDrop removes a drop whose message is complete in cur.
func (s *Spool) removeDrop(mail string) error {
	if err := s.sys.fsync(s.dirs[Cur]); err != nil {
		return fmt.Errorf("fsync cur/: %w", err)
	}
	return ignoreNotExist(s.sys.unlink(s.dirs[Cur], mail))
}

// placeDraft makes a drop's draft durable and moves it to cur, the content
// first, which is locked before it is there.
func (s *Spool) placeDraft(d *Draft, f *os.File, id string) error {
	s.sys.startWriting(d.content)
	s.sys.startWriting(d.envFD)
	if err := d.fsync(); err != nil {
		return err
	}
	// The drop's move to cur: it must not be in new again beside the message.
	if err := s.sys.fsync(s.dirs[New]); err != nil {
		return fmt.Errorf("fsync new/: %w", err)
	}
	// An operator may have deleted the drop: it must not come back.
	if err := s.lockVerified(f, Cur, id+KindDrop.Suffix()); err != nil {
		return err
	}
	if err := lock(d.content); err != nil {
		return fmt.Errorf("lock content: %w", err)
	}
	eml, env := id+KindContent.Suffix(), id+KindEnvelope.Suffix()
	if err := s.sys.move(s.dirs[Tmp], d.name, s.dirs[Cur], eml); err != nil {
		return fmt.Errorf("move content: %w", err)
	}
	d.name = ""
	if err := s.sys.move(s.dirs[Tmp], d.env, s.dirs[Cur], env); err != nil {
		return errors.Join(fmt.Errorf("move envelope: %w", err), s.sys.unlink(s.dirs[Cur], eml))
	}
	d.env = ""
	return nil
}

// draftOfDrop writes the drop's message into tmp. It reads as many octets as the
// drop has now, and no more, should its feeder go on writing.
func (s *Spool) draftOfDrop(f *os.File, id string) (*Draft, error) {
	st, err := fstat(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	d, err := s.newDraft(privateName(id, "drop"))
	if err != nil {
		return nil, err
	}
	r := io.NewSectionReader(f, 0, st.Size)
	sender, recipients, err := envelope.ReadDrop(r, d, envelope.Missing{Date: s.now(), MessageID: id + "@" + s.hostName()})
	var env *envelope.Envelope
	if err == nil {
		env, err = envelope.New(sender, recipients)
	}
	if err == nil {
		err = env.Set("Received-At", envelope.FormatTime(s.now()))
	}
	if err == nil {
		err = d.seal(env)
	}
	if err != nil {
		return nil, errors.Join(err, d.Abort())
	}
	return d, nil
}

func (s *Spool) hostName() string {
	name := s.host
	if name == "" {
		name, _ = os.Hostname() // without one, what follows finds out
	}
	if envelope.CheckAddress("x@"+name) != nil {
		return "localhost"
	}
	return name
}
