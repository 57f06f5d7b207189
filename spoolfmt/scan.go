package spoolfmt

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// An Entry is a name in a box. Kind is KindOther, and ID empty, for a name
// that is not of the protocol.
type Entry struct {
	Name string
	ID   string
	Kind Kind
}

// scanChunk is how many names are read at a time, so that a scan's memory does
// not grow with the backlog.
const scanChunk = 512

// Scan calls f for every name in a box, in no particular order. Names that come
// or go while it runs may be missed or not, every other one is seen. An error
// from f ends the scan and is returned.
func (s *Spool) Scan(b Box, f func(Entry) error) error {
	// A descriptor of its own: the offset in the directory is shared by
	// duplicates.
	fd, err := s.sys.open(s.dirs[b], ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return &fs.PathError{Op: "scan", Path: b.String(), Err: err}
	}
	dir := os.NewFile(uintptr(fd), b.String())
	defer dir.Close() // read only
	for {
		names, err := dir.Readdirnames(scanChunk)
		for _, name := range names {
			id, kind := SplitName(name)
			if err := f(Entry{Name: name, ID: id, Kind: kind}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Info is what the file system says of a name, without following a link.
type Info struct {
	Size       int64
	ModTime    time.Time
	ChangeTime time.Time
	Regular    bool
	Links      uint64
	UID        uint32
	Inode      uint64
}

// Stat looks at a name in a box. The error is fs.ErrNotExist when there is
// none.
func (s *Spool) Stat(b Box, name string) (Info, error) {
	st, err := s.lstat(b, name)
	if err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: b.String() + "/" + name, Err: err}
	}
	return infoOf(&st), nil
}

func infoOf(st *unix.Stat_t) Info {
	return Info{
		Size:       st.Size,
		ModTime:    time.Unix(st.Mtim.Unix()),
		ChangeTime: time.Unix(st.Ctim.Unix()),
		Regular:    isRegular(st),
		Links:      uint64(st.Nlink),
		UID:        st.Uid,
		Inode:      uint64(st.Ino),
	}
}
