package spoolfmt

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Modes of a spool's directory: SPOOL-FORMAT.md, Owner and modes.
const (
	PrivateMode = 0o700 // one user feeds and drains
	SharedMode  = 0o710 // its group may feed
)

// BoxMode returns the mode of a box, setgid and sticky bits included, in a
// private or in a shared spool.
func BoxMode(b Box, shared bool) uint32 {
	switch {
	case shared && b == Tmp:
		return 0o3733
	case shared && b == New:
		return 0o3737
	}
	return 0o700
}

// sharedNFSTmp is the mode of tmp in a shared spool on NFS: SPOOL-FORMAT.md, E.3.
const sharedNFSTmp = 0o3773

// fileMode is the mode that the files of a spool have. It lets the spool's group,
// smapd's, read what another user feeds, and nobody else. On NFS, to lock is to
// write.
func fileMode(tmp *unix.Stat_t) uint32 {
	if uint32(tmp.Mode)&modeBits == sharedNFSTmp {
		return 0o660
	}
	return 0o640
}

// modeBits are what BoxMode is about.
const modeBits = 0o7777

// checkLayout looks at the spool's directory and its boxes: section 2 of the
// format.
func (k *checker) checkLayout() {
	s := k.s
	var top unix.Stat_t
	err := again(func() error { return unix.Stat(filepath.Dir(s.paths[New]), &top) })
	if err != nil {
		k.emit(Finding{Section: "2", File: ".", Text: err.Error()})
		return
	}
	mode := uint32(top.Mode) & modeBits
	known := mode == PrivateMode || mode == SharedMode
	if !known {
		k.emit(Finding{Section: "2.2", File: ".",
			Text: fmt.Sprintf("mode %04o; a private spool has 0700, one with feeders of other users 0710", mode)})
	}
	var first *unix.Stat_t
	for b := Tmp; b <= Bad; b++ {
		if err := s.Missing(b); err != nil {
			k.emitMissing(b, err)
			continue
		}
		st, err := fstat(s.dirs[b])
		if err != nil {
			k.emit(Finding{Section: "2", File: b.String(), Text: err.Error()})
			continue
		}
		if first == nil {
			first = &st
		}
		if st.Dev != first.Dev {
			k.emit(Finding{Section: "2.1", File: b.String(), Text: "is on another file system than the other boxes"})
		}
		if known {
			k.checkBox(b, &st, &top, mode == SharedMode)
		}
	}
}

func (k *checker) emitMissing(b Box, err error) {
	f := Finding{Section: "2.1", File: b.String(), Text: err.Error()}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Text = "is missing"
		f.mend = func(*Spool) error { return nil } // whoever opens a spool to drain it makes it
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EMLINK):
		f.Text = "is no directory"
	}
	k.emit(f)
}

// checkBox compares a box's owner and mode with the spool's.
func (k *checker) checkBox(b Box, st, top *unix.Stat_t, shared bool) {
	if st.Uid != top.Uid {
		k.emit(Finding{Section: "2.2", File: b.String(),
			Text: fmt.Sprintf("belongs to user %d, the spool to user %d", st.Uid, top.Uid)})
		return
	}
	if shared && b < Cur && st.Gid == top.Gid {
		k.emit(Finding{Section: "2.2", File: b.String(),
			Text: "has the feeders' group: they could read each other's mail"})
	}
	want, mode := BoxMode(b, shared), uint32(st.Mode)&modeBits
	if mode == want || shared && b == Tmp && mode == sharedNFSTmp || !shared && mode&0o077 == 0 && mode&0o700 == 0o700 {
		return
	}
	k.emit(Finding{Section: "2.2", File: b.String(), Text: fmt.Sprintf("mode %04o instead of %04o", mode, want),
		mend: func(s *Spool) error { return again(func() error { return unix.Fchmod(s.dirs[b], want) }) }})
}
