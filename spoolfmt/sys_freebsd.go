package spoolfmt

import "golang.org/x/sys/unix"

// searchOnly opens a directory that may be entered but not read.
const searchOnly = unix.O_SEARCH
