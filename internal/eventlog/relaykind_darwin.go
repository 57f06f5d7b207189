package eventlog

import "golang.org/x/sys/unix"

// relayKind keeps lines apart. There is none that has an end, too; but who reads is
// told by ECONNRESET.
const relayKind = unix.SOCK_DGRAM
