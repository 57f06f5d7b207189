//go:build linux

package main

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// marksSize is the end of a disk that belongs to no file system. Marks are written there, each when what it says is true:
// in the log of the disk's writes it stands behind all that had to be durable before. A mark is a block of its own.
const (
	marksSize = 16 << 20
	markBlock = 4096
)

// marks writes them.
type marks struct {
	mu   sync.Mutex
	disk *os.File
	next int64
	buf  []byte
}

func openMarks(device string) (*marks, error) {
	f, err := os.OpenFile(device, os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, 2)
	if err != nil {
		return nil, err
	}
	// Direct writes want memory at the boundary of a block.
	buf := make([]byte, 2*markBlock)
	skip := markBlock - int(uintptr(unsafe.Pointer(&buf[0]))%markBlock)
	return &marks{disk: f, next: size - marksSize, buf: buf[skip : skip+markBlock]}, nil
}

func (m *marks) write(kind, text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.buf)
	copy(m.buf, "mark "+kind+" "+text+"\n")
	_, err := m.disk.WriteAt(m.buf, m.next)
	m.next += markBlock
	return err
}

// readMark reads what a write to the end of a disk says.
func readMark(b []byte) (kind, text string, err error) {
	line, _, ok := strings.Cut(string(b), "\n")
	words := strings.Fields(line)
	if !ok || len(words) != 3 || words[0] != "mark" {
		return "", "", errors.New("a write behind the file system that is no mark")
	}
	return words[1], words[2], nil
}

// content is what the message of a mark has to say: most are short, some have many blocks.
func content(mark string) string {
	h := fnv.New32a()
	h.Write([]byte(mark)) //nolint:errcheck // a hash takes all
	n := h.Sum32()
	lines := n >> 8 % 40
	if n%16 == 0 {
		lines *= 40
	}
	return fmt.Sprintf("Subject: %s\n\n%s", mark, strings.Repeat(fmt.Sprintf("line of %s, %08x\n", mark, n), int(lines)))
}
