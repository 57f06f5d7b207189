// Package initramfs writes the archive from which Linux makes its first file system: cpio in the "newc" format of the
// kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
package initramfs

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// A Writer writes one archive. Directories of a file are made by themselves.
type Writer struct {
	w    io.Writer
	next int
	have map[string]bool
	err  error
}

// NewWriter begins an archive.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w, have: map[string]bool{"": true, ".": true}} }

// Types of files, as st_mode has them.
const (
	directory = 0o040000
	device    = 0o020000
	link      = 0o120000
	regular   = 0o100000
)

// Dir adds a directory, and those above it.
func (a *Writer) Dir(name string) {
	name = strings.Trim(name, "/")
	if a.have[name] {
		return
	}
	a.Dir(path.Dir(name))
	a.have[name] = true
	a.entry(name, directory|0o755, 0, 0, nil)
}

// File adds a file.
func (a *Writer) File(name string, mode uint32, data []byte) {
	name = strings.Trim(name, "/")
	a.Dir(path.Dir(name))
	a.entry(name, regular|mode, 0, 0, data)
}

// Symlink adds a symbolic link.
func (a *Writer) Symlink(name, to string) {
	name = strings.Trim(name, "/")
	a.Dir(path.Dir(name))
	a.have[name] = true // the kernel puts what is below into the place that it names
	a.entry(name, link|0o777, 0, 0, []byte(to))
}

// Device adds a character device.
func (a *Writer) Device(name string, major, minor int) {
	name = strings.Trim(name, "/")
	a.Dir(path.Dir(name))
	a.entry(name, device|0o600, major, minor, nil)
}

// Close ends the archive and returns the first error. It does not close the file.
func (a *Writer) Close() error {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.err
}

// entry writes a header, the name, and the data, each of the latter two filled up to a multiple of four.
func (a *Writer) entry(name string, mode uint32, major, minor int, data []byte) {
	a.next++
	header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.next, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
	a.write([]byte(header + name + "\x00"))
	a.fill(len(header) + len(name) + 1)
	a.write(data)
	a.fill(len(data))
}

func (a *Writer) fill(n int) { a.write(make([]byte, (4-n%4)%4)) }

func (a *Writer) write(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
}
