package receiver

import (
	"bytes"
	"time"
)

// A skipper looks for the end of a message that is refused for its line ends.
// Most clients listen only there, and would try again if they did not hear why.
// Nothing that follows is carried out, so that the place need not be right.
type skipper struct {
	last  []byte // the octets before those that come next
	ended bool
}

const dataEnd = "\r\n.\r\n"

// How long a client may be silent that seems to wait for its reply, and one that
// does not.
const (
	silentAtEnd = time.Second
	silent      = 5 * time.Second
)

// skip returns how many octets belong to the message.
func (k *skipper) skip(p []byte) (used int) {
	before := len(k.last)
	all := append(k.last, p...)
	if i := bytes.Index(all, []byte(dataEnd)); i >= 0 {
		k.ended = true
		return i + len(dataEnd) - before
	}
	k.last = bytes.Clone(all[max(0, len(all)-len(dataEnd)+1):])
	return len(p)
}

// patience is how long the client may be silent. A client with other line ends
// than ours may have said its last.
func (k *skipper) patience() time.Duration {
	for _, end := range []string{"\n.\n", "\n.\r\n", "\r.\r"} {
		if bytes.HasSuffix(k.last, []byte(end)) {
			return silentAtEnd
		}
	}
	return silent
}
