package spoolfmt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// maxBadNames bounds the search for a name that is free in bad.
const maxBadNames = 1000

// badName is the id itself, then the id with a number, cut where that would
// be too long.
func badName(id string, n int) string {
	if n == 0 {
		return id
	}
	suffix := "." + strconv.Itoa(n)
	return id[:min(len(id), envelope.MaxID-len(suffix))] + suffix
}

// usedInBad tells whether bad has a file of the format under that name.
func (s *Spool) usedInBad(name string) (bool, error) {
	for k := KindContent; k <= KindDone; k++ {
		if there, err := s.exists(Bad, name+k.Suffix()); err != nil || there {
			return there, err
		}
	}
	return false, nil
}

// intoBad calls put with the first free name of an id, and with the next one
// where put finds that somebody else has taken it (fs.ErrExist).
func (s *Spool) intoBad(id string, put func(name string) error) (string, error) {
	for n := range maxBadNames {
		name := badName(id, n)
		used, err := s.usedInBad(name)
		if err != nil {
			return "", err
		}
		if used {
			continue
		}
		if err = put(name); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
	return "", fmt.Errorf("no free name in bad/ in %d attempts", maxBadNames)
}

// linkIntoBad gives an open file of cur a name in bad. Where the system refuses
// a link, as Linux does with fs.protected_hardlinks for another user's file, it
// writes a copy.
func (s *Spool) linkIntoBad(f *os.File, name, bad string) error {
	err := s.sys.link(s.dirs[Cur], name, s.dirs[Bad], bad)
	switch err {
	case unix.EPERM, unix.EACCES, unix.EMLINK, unix.EXDEV, unix.EOPNOTSUPP:
		return s.copyIntoBad(f, bad)
	}
	return err
}

// copyIntoBad copies all that a file holds now. The original goes after that, so
// the copy must not end where a wrong Size does. A feeder that appends all the
// time does not keep it going.
func (s *Spool) copyIntoBad(f *os.File, bad string) error {
	st, err := fstat(int(f.Fd()))
	if err != nil {
		return err
	}
	name := privateName(bad, "aside")
	fd, err := s.create(name)
	if err != nil {
		return err
	}
	if err = s.copyData(fd, f, st.Size); err == nil {
		err = s.sys.fsync(fd)
	}
	if err = errors.Join(err, s.sys.close(fd)); err == nil {
		err = s.sys.move(s.dirs[Tmp], name, s.dirs[Bad], bad)
	}
	if err != nil {
		return errors.Join(err, s.sys.unlink(s.dirs[Tmp], name))
	}
	return nil
}
