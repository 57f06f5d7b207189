// Package writelog reads the log of a block device's writes and flushes in the format of Linux's dm-log-writes, which
// QEMU's block driver blklogwrites writes too, and replays it.
//
// A log begins with a superblock in its first sector. Each entry is a sector of its own, followed by its data.
package writelog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Flags of an entry, of the kernel's Documentation/admin-guide/device-mapper/log-writes.rst.
const (
	Flush   = 1 << iota // the disk was told to flush before it
	FUA                 // durable by itself when it was done
	Discard             // has no data
	Mark                // a text for people
)

const magic = 0x6a736677736872

// unit is the size of a sector as entries count them.
const unit = 512

// An Entry is one request.
type Entry struct {
	Offset int64 // of the first octet on the disk
	Size   int64 // octets written or discarded; 0 for a flush
	Flags  uint64
	at     int64 // where the data is in the log
}

// A Log is the list of requests; the data stay in the file.
type Log struct {
	r       io.ReaderAt
	Entries []Entry
}

// most entries are read at most, so that a broken superblock takes no memory.
const most = 50_000_000

// Read reads the headers of all entries.
func Read(r io.ReaderAt) (*Log, error) {
	var super [unit]byte
	if _, err := r.ReadAt(super[:28], 0); err != nil {
		return nil, fmt.Errorf("superblock: %w", err)
	}
	le := binary.LittleEndian
	version, count, sector := le.Uint64(super[8:]), le.Uint64(super[16:]), int64(le.Uint32(super[24:]))
	switch {
	case le.Uint64(super[:]) != magic:
		return nil, errors.New("not a log of writes")
	case version != 1:
		return nil, fmt.Errorf("version %d of the log", version)
	case sector < unit || sector > 1<<16 || sector%unit != 0:
		return nil, fmt.Errorf("sectors of %d octets", sector)
	case count > most:
		return nil, fmt.Errorf("%d entries", count)
	}
	l := &Log{r: r}
	at := sector
	for i := range count {
		var b [32]byte
		if _, err := r.ReadAt(b[:], at); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		start, sectors, flags, length := le.Uint64(b[:]), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])
		if start > 1<<40 || sectors > 1<<32 || length > 1<<32 {
			return nil, fmt.Errorf("entry %d: sector %d, %d sectors, %d octets", i, start, sectors, length)
		}
		at += sector
		e := Entry{Offset: int64(start) * unit, Size: int64(sectors) * unit, Flags: flags, at: at}
		switch {
		case flags&Mark != 0:
			e.Offset, e.Size = 0, 0
			at += (int64(length) + sector - 1) / sector * sector
		case flags&Discard == 0:
			at += (e.Size + sector - 1) / sector * sector
		}
		l.Entries = append(l.Entries, e)
	}
	return l, nil
}

// Data reads what an entry wrote: nil for a flush, a discard and a mark.
func (l *Log) Data(e Entry) ([]byte, error) {
	if e.Flags&(Discard|Mark) != 0 || e.Size == 0 {
		return nil, nil
	}
	b := make([]byte, e.Size)
	_, err := l.r.ReadAt(b, e.at)
	return b, err
}

// Apply does to a disk what an entry did. What a discard leaves is nobody's business, so it is left out.
func (l *Log) Apply(w io.WriterAt, e Entry) error {
	b, err := l.Data(e)
	if err != nil || b == nil {
		return err
	}
	_, err = w.WriteAt(b, e.Offset)
	return err
}
