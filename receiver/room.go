package receiver

import (
	"errors"
	"sync/atomic"
)

// minInodes must be free: two for the message, and some for those beside it.
const minInodes = 64

// lookAgain is how many octets of a message come between two looks at the room
// that is left. So much has to be there for a message of unknown size.
const lookAgain = 4 << 20

var errFull = errors.New("less room than minfree")

// A reservation is what one message will still take. All sessions of a process see
// what the others have reserved.
type reservation struct {
	all  *atomic.Int64
	left int64
}

func (r *reservation) take(octets int64) {
	r.left += octets
	r.all.Add(octets)
}

// used returns octets that are in the spool now, and so no longer free.
func (r *reservation) used(octets int64) { r.take(-min(octets, r.left)) }

// end returns the rest.
func (r *reservation) end() { r.take(-r.left) }

// room tells whether a message of that size may come.
func (s *session) room(size int64) Reply {
	if s.MaxBytes > 0 && size > s.MaxBytes {
		return replyTooBig
	}
	return s.fits(size)
}

// fits tells whether minfree stays free after this many octets, and all that other
// sessions have reserved.
func (s *session) fits(size int64) Reply {
	if s.MinFree == 0 {
		return Reply{}
	}
	bytes, inodes, err := s.Spool.Free()
	if err != nil {
		s.trouble(eventStatfs, err)
		return replySystem
	}
	want := s.MinFree + uint64(max(0, s.Reserved.Load()))
	if bytes < want || bytes-want < uint64(size) || inodes < minInodes {
		s.trouble(eventSpoolFull, errFull)
		return replyFull
	}
	return Reply{}
}

// reserve takes room for a message of which at least this much is to come.
func (c *content) reserve(size int64) Reply {
	size = max(size, c.s.declared)
	r := c.s.room(size)
	if r.Code == 0 {
		c.room = reservation{all: c.s.Reserved}
		c.room.take(size)
	}
	return r
}

// wrote counts octets that are in the spool, and now and then looks whether there
// is room for more.
func (c *content) wrote(octets int64) {
	c.room.used(octets)
	c.unseen += octets
	if c.unseen < lookAgain {
		return
	}
	c.unseen = 0
	ahead := int64(lookAgain)
	if c.room.left > 0 { // the rest is reserved
		ahead = 0
	}
	if r := c.s.fits(ahead); r.Code != 0 {
		c.fail(r)
	}
}
