package courier

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// A sorter reads which lanes messages are for, without claiming them: what it finds
// is a hint, and the delivery that claims the message finds out again.
type sorter struct {
	cfg   *Config
	spool *spoolfmt.Spool
	keys  keyers
	buf   []byte
}

// A sorted is a message with its lanes. Without lanes it is gone.
type sorted struct {
	item   item
	places []place
	aged   bool // its sender is to be told of a delay, or it is too old
}

// sort routes one message, and with aging finds out whether its age is a reason to
// act. What cannot be read, or is malformed, goes to the first
// lane: the claim says what is wrong with it.
func (s *sorter) sort(it item, aging bool, now time.Time) sorted {
	id, kind := spoolfmt.SplitName(it.name)
	var to []envelope.Path
	var client string
	var own, aged bool
	if kind == spoolfmt.KindDrop {
		to = s.drop(it)
	} else {
		box, env, err := s.read(it, id)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return sorted{item: it}
		case err == nil:
			it.cur = it.cur || box == spoolfmt.Cur
			to, client = env.Pending(), env.Get(fieldClient)
			if aging || marked(env) {
				content, _ := s.spool.Stat(box, id+spoolfmt.KindContent.Suffix()) // without one, the claim says what is wrong
				own, aged = isOwn(content, env), aging && s.aged(env, content, now)
			}
		}
	}
	r := sorted{item: it, aged: aged}
	for _, p := range to {
		lane := s.cfg.laneFor(own, p.Address)
		if !placed(r.places, lane) {
			r.places = append(r.places, place{lane: lane, keys: s.keys[lane](p.Address, client)})
		}
	}
	if len(r.places) == 0 {
		r.places = []place{{lane: s.cfg.laneFor(own, "")}}
	}
	return r
}

// fieldClient is the field of an envelope that has the client's address.
const fieldClient = "Client-Address"

func placed(places []place, lane string) bool {
	for _, p := range places {
		if p.lane == lane {
			return true
		}
	}
	return false
}

// read reads an envelope where it is: a message that was found in new may be in cur
// by now.
func (s *sorter) read(it item, id string) (spoolfmt.Box, *envelope.Envelope, error) {
	boxes := []spoolfmt.Box{spoolfmt.New, spoolfmt.Cur}
	if it.cur {
		boxes = boxes[1:]
	}
	var err error
	for _, b := range boxes {
		var env *envelope.Envelope
		if env, err = s.spool.ReadEnvelope(b, id, s.buf); !errors.Is(err, fs.ErrNotExist) {
			return b, env, err
		}
	}
	return spoolfmt.Cur, nil, err
}

// dropPeek is how much of a drop is read to find its recipients.
const dropPeek = 64 << 10

// drop reads the recipients of a drop, nil where that is not possible.
func (s *sorter) drop(it item) []envelope.Path {
	box := spoolfmt.New
	if it.cur {
		box = spoolfmt.Cur
	}
	f, err := s.spool.Open(box, it.name)
	if err != nil {
		return nil
	}
	defer f.Close() // only read
	_, to, err := envelope.ReadDrop(io.LimitReader(f, dropPeek), io.Discard, envelope.Missing{})
	if err != nil {
		return nil
	}
	return to
}

// marked tells whether an envelope says that a courier wrote it.
func marked(env *envelope.Envelope) bool {
	return env.Get(fieldReport) != "" && env.Sender().Address == ""
}

// isOwn tells whether a courier fed this message: the field alone proves nothing,
// since any feeder can write it, but the owner of the content's file does.
func isOwn(content spoolfmt.Info, env *envelope.Envelope) bool {
	return marked(env) && content.Inode != 0 && int(content.UID) == os.Geteuid()
}

// aged tells whether a message is so old that something is due, even if no agent can
// be reached.
func (s *sorter) aged(env *envelope.Envelope, content spoolfmt.Info, now time.Time) bool {
	age := now.Sub(arrival(content, env, now))
	return age >= s.cfg.Schedule.maxAge() || age >= delayAfter && delayWanted(s.cfg, env)
}

// arrival returns when a message came: what its feeder wrote, unless the content's file
// is older. A feeder's clock that is ahead does not make it younger than now. A message
// that an operator requeued came when it was requeued.
func arrival(content spoolfmt.Info, env *envelope.Envelope, now time.Time) time.Time {
	at := now
	if t := env.RequeuedAt(); !t.IsZero() && t.Before(now) {
		return t
	}
	if content.Inode != 0 && content.ModTime.Before(now) {
		at = content.ModTime
	}
	if t := env.ReceivedAt(); !t.IsZero() && t.Before(at) {
		at = t
	}
	return at
}
