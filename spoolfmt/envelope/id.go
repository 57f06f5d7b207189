package envelope

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// MaxID is the most octets that an id can have. Names made of it fit into every
// file system.
const MaxID = 180

// An IDError says why a string is not an id.
type IDError struct {
	ID     string
	Reason string
}

func (e *IDError) Error() string { return fmt.Sprintf("id %.80q: %s", e.ID, e.Reason) }

// The suffixes of the names that a spool gives the files of an id. No id ends
// in one of them.
const (
	ContentSuffix  = ".eml"
	EnvelopeSuffix = ".envelope"
	DoneSuffix     = ".done"
	DropSuffix     = ".mail"
)

// idLetters are the digits of base32 in lower case, without letters that look like
// digits.
const idLetters = "0123456789abcdefghjkmnpqrstvwxyz"

// NewID returns an id that nobody has used or will use. It is the time, for people
// and for sorting, and 80 random bits, so that nothing depends on the clock. The
// runtime's generator, which the system seeds for every process, makes them: they
// need to be unique, not secret.
func NewID(now time.Time) string {
	var bits [10]byte
	binary.BigEndian.PutUint64(bits[:8], rand.Uint64())
	binary.BigEndian.PutUint16(bits[8:], uint16(rand.Uint32()))
	random := base32.NewEncoding(idLetters).EncodeToString(bits[:])
	return now.UTC().Format("20060102T150405.000000Z") + "-" + random
}

// CheckID returns an *[IDError] for a string that is not an id: SPOOL-FORMAT.md,
// Ids.
func CheckID(id string) error {
	reason := ""
	switch {
	case id == "":
		reason = "empty"
	case len(id) > MaxID:
		reason = fmt.Sprintf("%d octets, at most %d are allowed", len(id), MaxID)
	case !alphanumeric(id[0]):
		reason = "does not begin with a letter or a digit"
	default:
		for i := 1; i < len(id); i++ {
			if !alphanumeric(id[i]) && strings.IndexByte("._=+-", id[i]) < 0 {
				reason = fmt.Sprintf("octet %d, %q, is not allowed", i+1, id[i:i+1])
				break
			}
		}
	}
	for _, suffix := range []string{ContentSuffix, EnvelopeSuffix, DoneSuffix, DropSuffix} {
		if reason == "" && strings.HasSuffix(id, suffix) {
			reason = "ends in " + suffix
		}
	}
	if reason != "" {
		return &IDError{ID: id, Reason: reason}
	}
	return nil
}

func alphanumeric(c byte) bool { return isLetter(c) || isDigit(c) }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
