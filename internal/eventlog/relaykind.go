//go:build !darwin

package eventlog

import "golang.org/x/sys/unix"

// relayKind keeps lines apart, and has an end.
const relayKind = unix.SOCK_SEQPACKET
