//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package courier

import "time"

// kqueue needs a descriptor for each file in a watched directory: a long one is
// polled until it is short again.
const (
	watchLimit = 64
	pollEvery  = time.Second
)
