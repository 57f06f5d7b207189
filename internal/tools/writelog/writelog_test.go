package writelog

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// file is a disk in memory.
type file []byte

func (f file) WriteAt(p []byte, at int64) (int, error) { return copy(f[at:], p), nil }

// made puts a log together: entries of sectors of that size.
func made(sector int, count uint64, entries ...[]byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint64(nil, magic)
	b = le.AppendUint64(b, 1)
	b = le.AppendUint64(b, count)
	b = le.AppendUint32(b, uint32(sector))
	b = append(b, make([]byte, sector-len(b))...)
	for _, e := range entries {
		b = append(b, e...)
		b = append(b, make([]byte, (sector-len(b)%sector)%sector)...)
	}
	return b
}

func entry(sector int, start, sectors, flags uint64, data string) []byte {
	le := binary.LittleEndian
	var b []byte
	for _, n := range []uint64{start, sectors, flags, uint64(len(data))} {
		b = le.AppendUint64(b, n)
	}
	if data == "" {
		return b
	}
	return append(append(b, make([]byte, sector-len(b))...), data...)
}

func TestReplay(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		one, two := strings.Repeat("1", 512), strings.Repeat("2", 1024)
		b := made(sector, 5, entry(sector, 1, 1, 0, one), entry(sector, 0, 0, Flush, ""), entry(sector, 9, 1, Mark, "mark"),
			entry(sector, 0, 8, Discard, ""), entry(sector, 2, 2, FUA, two))
		l, err := Read(bytes.NewReader(b))
		if err != nil || len(l.Entries) != 5 {
			t.Fatalf("%d: %v, %v", sector, l, err)
		}
		disk := make(file, 2048)
		for _, e := range l.Entries {
			if err := l.Apply(disk, e); err != nil {
				t.Fatal(err)
			}
		}
		if string(disk) != strings.Repeat("\x00", 512)+one+two {
			t.Errorf("%d: the disk has %q", sector, disk)
		}
		if l.Entries[1].Flags != Flush || l.Entries[4].Flags != FUA || l.Entries[3].Size != 4096 {
			t.Errorf("%d: %+v", sector, l.Entries)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	good := made(512, 1, entry(512, 1, 1, 0, strings.Repeat("1", 512)))
	for name, change := range map[string]func([]byte) []byte{
		"nothing":          func([]byte) []byte { return nil },
		"another magic":    func(b []byte) []byte { b[0]++; return b },
		"another version":  func(b []byte) []byte { b[8]++; return b },
		"a sector of 1":    func(b []byte) []byte { b[24], b[25] = 1, 0; return b },
		"entries, cut off": func(b []byte) []byte { b[16] = 9; return b },
		"endless entries":  func(b []byte) []byte { b[23] = 1; return b },
		"a huge entry":     func(b []byte) []byte { b[512+15] = 1; return b },
	} {
		if l, err := Read(bytes.NewReader(change(bytes.Clone(good)))); err == nil {
			t.Errorf("%s: %+v", name, l)
		}
	}
}
