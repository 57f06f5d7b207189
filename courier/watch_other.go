//go:build !(darwin || dragonfly || freebsd || netbsd || openbsd)

package courier

import "time"

// inotify watches a directory of any length with one watch.
const (
	watchLimit = 0
	pollEvery  = time.Second
)
