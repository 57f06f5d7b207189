package spoolfmt

import (
	"strings"

	"smap/spoolfmt/envelope"
)

// A Kind is the kind of file that a name in a box is for.
type Kind int

// The kinds of names. KindOther is every name that the protocol does not use.
const (
	KindOther    Kind = iota
	KindContent       // <id>.eml
	KindEnvelope      // <id>.envelope
	KindDrop          // <id>.mail
	KindDone          // <id>.done, the envelope of a message that is done
)

// Suffix returns what a name of this kind ends in, such as ".eml".
func (k Kind) Suffix() string {
	return [...]string{"", envelope.ContentSuffix, envelope.EnvelopeSuffix, envelope.DropSuffix, envelope.DoneSuffix}[k]
}

// SplitName splits a file's name into its id and its kind. The kind is
// KindOther where the suffix is unknown, or the rest is no id.
func SplitName(name string) (id string, kind Kind) {
	for k := KindContent; k <= KindDone; k++ {
		if id, ok := strings.CutSuffix(name, k.Suffix()); ok {
			if envelope.CheckID(id) != nil {
				return "", KindOther
			}
			return id, k
		}
	}
	return "", KindOther
}
