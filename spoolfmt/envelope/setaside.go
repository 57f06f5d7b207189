package envelope

import (
	"bytes"
	"strings"
	"time"
)

// maxReason bounds the reason in a Set-Aside field, in octets.
const maxReason = 1000

// setAsideStart begins the line of a Set-Aside field.
const setAsideStart = "Set-Aside: "

// SetAsideValue returns the value of a Set-Aside field. It cuts a reason that is
// too long.
func SetAsideValue(at time.Time, reason string) string {
	return FormatTime(at) + " " + CleanText(reason, maxReason)
}

// Reason returns the reason in the Set-Aside field, "" if there is none.
func (e *Envelope) Reason() string {
	_, reason, _ := strings.Cut(e.Get("Set-Aside"), " ")
	return reason
}

// PrependReason puts a Set-Aside line before an envelope that cannot be parsed. So it
// stays malformed until a person has looked. CutReason first removes an earlier one:
// only where root or the drainer wrote the file. SetAsideValue makes the value.
func PrependReason(raw []byte, value string) []byte {
	return append([]byte(setAsideStart+value+"\n"), raw...)
}

// CutReason removes the line that PrependReason wrote, and returns its reason.
func CutReason(raw []byte) (reason string, rest []byte) {
	line, rest, _ := bytes.Cut(raw, []byte{'\n'})
	value, ok := bytes.CutPrefix(line, []byte(setAsideStart))
	if !ok {
		return "", raw
	}
	_, text, _ := bytes.Cut(value, []byte{' '})
	return CleanText(string(text), MaxLine), rest
}
