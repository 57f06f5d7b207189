package spoolfmt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// A room is a file in tmp that has its blocks already, so that an outcome can
// be written when the disk is full.
type room struct {
	name string
	fd   int
	size int64
	made time.Time
}

// rooms keeps reserved files that no record needed: most messages are
// delivered at once and finished without one.
type rooms struct {
	mu   sync.Mutex
	free []*room
}

const (
	keptRooms = 16
	roomSize  = 8 << 10   // the usual envelope, so that rooms can be used again
	roomAge   = time.Hour // recovery removes what is in tmp for much longer
)

// privateName is a name in tmp that no feeder chooses: it is no id with a
// suffix of the protocol.
func privateName(id, what string) string {
	return id + "." + strconv.FormatUint(rand.Uint64(), 36) + "." + what
}

func (r *rooms) get(s *Spool, id string, size int64) (*room, error) {
	if have := r.take(s, size); have != nil {
		return have, nil
	}
	size = max(size, roomSize)
	name := privateName(id, "record")
	fd, err := s.create(name)
	if err != nil {
		return nil, err
	}
	if err := s.sys.reserve(fd, size); err != nil {
		return nil, errors.Join(err, s.sys.close(fd), s.sys.unlink(s.dirs[Tmp], name))
	}
	return &room{name: name, fd: fd, size: size, made: s.now()}, nil
}

// take returns a kept room of at least that size, or nil.
func (r *rooms) take(s *Spool, size int64) *room {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.free) - 1; i >= 0; i-- {
		have := r.free[i]
		old := s.now().Sub(have.made) > roomAge
		if !old && have.size < size {
			continue
		}
		r.free = append(r.free[:i], r.free[i+1:]...)
		if !old {
			return have
		}
		have.remove(s)
	}
	return nil
}

func (r *rooms) put(s *Spool, x *room) {
	if x == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.free) < keptRooms {
		r.free = append(r.free, x)
		return
	}
	x.remove(s)
}

func (r *rooms) drop(s *Spool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.free {
		x.remove(s)
	}
	r.free = nil
}

// remove forgets a room. What it cannot remove, recovery does in 36 hours.
func (x *room) remove(s *Spool) {
	err := s.sys.unlink(s.dirs[Tmp], x.name)
	if err = errors.Join(s.sys.close(x.fd), ignoreNotExist(err)); err != nil {
		s.log.Warn(eventNotRemoved, "file", x.name, "error", err)
	}
}

// Reserve makes sure that the next Record finds room on the disk, however
// many of the pending recipients get their outcome before it. Without room no
// agent should be started: its outcome could not be written down.
//
// When the disk is full, one recipient is left and none has failed, Reserve succeeds
// without room: Finish needs none, and a failure that cannot be recorded costs
// nothing but another attempt. HasRoom tells.
func (c *Claim) Reserve() error {
	if c.env == nil {
		return fmt.Errorf("%s: not loaded", c.id)
	}
	size := c.env.Room()
	if c.room != nil && c.room.size >= size {
		return nil
	}
	c.s.rooms.put(c.s, c.room)
	c.room = nil
	got, err := c.s.rooms.get(c.s, c.id, size)
	if noRoom(err) && c.last() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reserve room in tmp/: %w", err)
	}
	c.room = got
	return nil
}

// HasRoom tells whether Reserve has reserved room for the next Record.
func (c *Claim) HasRoom() bool { return c.room != nil }

// last tells whether the message is finished when the next delivery succeeds.
func (c *Claim) last() bool {
	for _, r := range c.env.Recipients() {
		if r.Outcome != nil && r.Outcome.Status == envelope.StatusFailed {
			return false
		}
	}
	return len(c.env.Pending()) == 1
}

// Record replaces the envelope in cur by the present one, durably. Its
// modification time becomes next, the time of the next attempt; a zero next
// means now. Until it returns nil the old envelope may be the one that a crash
// leaves.
func (c *Claim) Record(next time.Time) error {
	data, err := c.env.Marshal()
	if err != nil {
		return fmt.Errorf("%s: %w", c.path(KindEnvelope), err)
	}
	return c.replaceEnvelope(data, next)
}

func (c *Claim) replaceEnvelope(data []byte, next time.Time) error {
	if err := c.syncMoves(); err != nil {
		return err
	}
	if next.IsZero() {
		next = c.s.now()
	}
	if err := c.fillRoom(data, next); err != nil {
		return err
	}
	// An operator may have deleted the message: it must not come back.
	name := c.id + KindEnvelope.Suffix()
	there, err := c.s.lstat(Cur, name)
	if err != nil {
		return fmt.Errorf("record: %s: %w", c.path(KindEnvelope), err)
	}
	if c.envIno.Ino != 0 && !sameFile(&there, &c.envIno) {
		return fmt.Errorf("record: %s is another file now", c.path(KindEnvelope))
	}
	written, err := fstat(c.room.fd)
	if err != nil {
		return fmt.Errorf("record: tmp/%s: %w", c.room.name, err)
	}
	if err := c.s.sys.replace(c.s.dirs[Tmp], c.room.name, c.s.dirs[Cur], name); err != nil {
		return fmt.Errorf("record: move to %s: %w", c.path(KindEnvelope), err)
	}
	fd := c.room.fd
	c.room, c.envIno = nil, written
	if err := errors.Join(c.s.sys.close(fd), c.s.sys.fsync(c.s.dirs[Cur])); err != nil {
		return fmt.Errorf("record: %s: %w", c.path(KindEnvelope), err)
	}
	return nil
}

// fillRoom writes an envelope into the room, or into another one where somebody
// has removed the room's name from tmp: without it, it can never be moved.
func (c *Claim) fillRoom(data []byte, next time.Time) error {
	for second := false; ; second = true {
		if c.room == nil {
			got, err := c.s.rooms.get(c.s, c.id, int64(len(data)))
			if err != nil {
				return fmt.Errorf("record: room in tmp/: %w", err)
			}
			c.room = got
		}
		err := c.writeRoom(data, next)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("record: tmp/%s: %w", c.room.name, err)
		if second || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		c.room.remove(c.s)
		c.room = nil
		c.s.rooms.drop(c.s) // they may have lost their names, too
	}
}

func (c *Claim) writeRoom(data []byte, next time.Time) error {
	if _, err := unix.Seek(c.room.fd, 0, io.SeekStart); err != nil {
		return err
	}
	if err := c.s.writeAll(c.room.fd, data); err != nil {
		return err
	}
	if err := again(func() error { return unix.Ftruncate(c.room.fd, int64(len(data))) }); err != nil {
		return err
	}
	if err := setTimes(c.s.dirs[Tmp], c.room.name, next); err != nil {
		return err
	}
	return c.s.sys.fsync(c.room.fd)
}

// syncMoves makes the claim's own moves durable, once, before the first change
// that builds on them.
func (c *Claim) syncMoves() error {
	if c.movesSynced {
		return nil
	}
	for _, b := range []Box{New, Cur} {
		if err := c.s.sys.fsync(c.s.dirs[b]); err != nil {
			return fmt.Errorf("fsync %s/: %w", b, err)
		}
	}
	c.movesSynced = true
	return nil
}

// fill reserves room by writing zeros, where the system has no better way.
func fill(fd int, size int64) error {
	zeros := make([]byte, min(size, 64<<10))
	for done := int64(0); done < size; {
		var n int
		err := again(func() (err error) {
			n, err = unix.Pwrite(fd, zeros[:min(int64(len(zeros)), size-done)], done)
			return err
		})
		if err != nil {
			return err
		}
		done += int64(n)
	}
	return nil
}
