package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"smap/netperm"
)

// Processes for one connection count their sessions with locks on single octets
// of a file. The system removes the locks of a process that ends, even after a
// crash. The octets mean:
//
//	from 0                          all sessions: one octet each
//	from clientBase+n*clientRange   sessions of client number n: one octet each
//	keyLock                         a process writes the key
//
// A client's number is a hash of its address and of a random key, which is at the
// start of the file. So an attacker cannot choose an address that has the number of
// another client.
const (
	clientRange = 1 << 17 // more than the maximum of maxperclient
	clientBase  = 1 << 40
	clientBits  = 44
	keyLock     = 1 << 39
	keySize     = 16
)

// slots is the file with the locks.
type slots struct {
	f                  *os.File
	key                [keySize]byte
	sessions, eachHost int64
}

// takeSlots takes the slots for the session of this process. If a limit is reached,
// it sends the client 421 and returns false. Behind a load balancer the client is
// not known yet: takeClientSlot takes its slot later.
func (s *setup) takeSlots(v visitor) bool {
	if !v.peer.IsValid() {
		return true
	}
	taken, err := openSlots(s.table.String(netperm.SessionsFile), s.table.Int(netperm.MaxSessions), s.table.Int(netperm.MaxPerClient))
	limit := ""
	if err == nil {
		s.slots, s.countLater = taken, s.isProxy(v)
		limit, err = taken.enter(s.isRelay(v))
	}
	if err == nil && limit == "" && !s.countLater {
		limit, err = taken.client(v.peer.Addr())
	}
	if err != nil {
		s.config.Log.Warn(eventLimits, "note", "maxsessions and maxperclient are not enforced", "error", err)
	}
	if limit != "" {
		s.turnAway(v, limit)
	}
	return limit == ""
}

// takeClientSlot takes the slot of a client that a load balancer has named.
func (s *setup) takeClientSlot(addr netip.Addr) (done func(), ok bool) {
	limit, err := s.slots.client(addr)
	if err != nil {
		s.config.Log.Warn(eventLimits, "note", "maxperclient is not enforced", "error", err)
	}
	return func() {}, limit == ""
}

// openSlots opens the file, or creates it. It fails if another user can read or
// write the file: a reader knows the key, and can lock octets too.
func openSlots(path string, sessions, each int64) (*slots, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	s := &slots{f: os.NewFile(uintptr(fd), path), sessions: sessions, eachHost: each}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0:
		err = fmt.Errorf("must be a regular file of user %d that no other user can read or write (chmod 600)", os.Geteuid())
	default:
		err = s.readKey()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), s.f.Close())
	}
	return s, nil
}

// readKey reads the key, or writes one into a new file.
func (s *slots) readKey() error {
	if n, _ := s.f.ReadAt(s.key[:], 0); n == keySize {
		return nil
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: keyLock, Len: 1}
	if err := unix.FcntlFlock(s.f.Fd(), unix.F_SETLKW, &lock); err != nil {
		return err
	}
	n, err := s.f.ReadAt(s.key[:], 0) // another process can have written it
	if n < keySize {
		_, _ = rand.Read(s.key[:]) // it never fails
		_, err = s.f.WriteAt(s.key[:], 0)
	}
	lock.Type = unix.F_UNLCK
	return errors.Join(err, unix.FcntlFlock(s.f.Fd(), unix.F_SETLK, &lock))
}

// enter takes a slot for this process. It returns "", or the name of the limit that
// is reached.
func (s *slots) enter(relay bool) (limit string, err error) {
	most := s.sessions
	if relay {
		most += reserved
	}
	ok, err := s.lockOne(0, most)
	if err != nil || ok {
		return "", err
	}
	return limitSessions, nil
}

// client takes a slot for a session of one client. It returns what enter returns.
func (s *slots) client(addr netip.Addr) (limit string, err error) {
	b, err := network(addr).MarshalBinary()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append(s.key[:], b...))
	n := int64(binary.BigEndian.Uint64(sum[:]) >> (64 - clientBits))
	ok, err := s.lockOne(clientBase+n*clientRange, s.eachHost)
	if err != nil || ok {
		return "", err
	}
	return limitClient, nil
}

// lockOne locks one of n octets, and returns false if all are locked. It begins at
// an octet that depends on the process id: the first octets would often be locked.
func (s *slots) lockOne(base, n int64) (bool, error) {
	begin := int64(os.Getpid()) % n
	for i := range n {
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: base + (begin+i)%n, Len: 1}
		switch err := unix.FcntlFlock(s.f.Fd(), unix.F_SETLK, &lock); {
		case err == nil:
			return true, nil
		case err != unix.EAGAIN && err != unix.EACCES:
			return false, err
		}
	}
	return false, nil
}
