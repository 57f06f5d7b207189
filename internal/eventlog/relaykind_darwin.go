package eventlog

import "golang.org/x/sys/unix"

// relayKind keeps lines apart. No kind has an end as well; but the reader is
// told by ECONNRESET.
const relayKind = unix.SOCK_DGRAM
