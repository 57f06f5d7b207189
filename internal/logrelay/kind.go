//go:build !darwin

package logrelay

import "golang.org/x/sys/unix"

// kind keeps lines apart, and has an end.
const kind = unix.SOCK_SEQPACKET
