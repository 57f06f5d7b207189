package courier

import (
	"fmt"
	"strings"
	"syscall"
)

// An Outcome is what an attempt means for a recipient. The zero value is to
// try again: whatever is not understood must not lose mail.
type Outcome int

// The outcomes.
const (
	Retry     Outcome = iota // not delivered, try again later
	Delivered                // the agent has taken responsibility
	Failed                   // will never be delivered
)

// String returns the outcome's name.
func (o Outcome) String() string {
	switch o {
	case Delivered:
		return "delivered"
	case Failed:
		return "failed"
	}
	return "retry"
}

// exitOutcomes is the contract between smapd and the programs it runs; smapd(8)
// repeats it. Codes that are not here are tried again until maxage.
var exitOutcomes = [256]Outcome{
	0:   Delivered,
	65:  Failed, // EX_DATAERR
	67:  Failed, // EX_NOUSER
	68:  Failed, // EX_NOHOST
	100: Failed, // qmail: hard error
}

// ExitOutcome returns what an agent's exit code means for every recipient of
// the call. Codes outside 0..255 mean Retry.
func ExitOutcome(code int) Outcome {
	if code < 0 || code >= len(exitOutcomes) {
		return Retry
	}
	return exitOutcomes[code]
}

// exitNames are the names of sysexits(3), for texts that people read.
var exitNames = map[int]string{
	64: "EX_USAGE", 65: "EX_DATAERR", 66: "EX_NOINPUT", 67: "EX_NOUSER", 68: "EX_NOHOST",
	69: "EX_UNAVAILABLE", 70: "EX_SOFTWARE", 71: "EX_OSERR", 72: "EX_OSFILE", 73: "EX_CANTCREAT",
	74: "EX_IOERR", 75: "EX_TEMPFAIL", 76: "EX_PROTOCOL", 77: "EX_NOPERM", 78: "EX_CONFIG",
}

// exitStatus returns the enhanced status code of RFC 3463 that says the same as
// an exit code, for reports to senders.
func exitStatus(code int) string {
	switch code {
	case 0:
		return "2.0.0"
	case 65:
		return "5.6.0"
	case 67:
		return "5.1.1"
	case 68:
		return "5.1.2"
	case 100:
		return "5.0.0"
	}
	return "4.0.0"
}

// maxSaidOutput bounds what exitText repeats of a program's output: with all that is
// put before it, the end must still be there in the shortest text that is kept.
const maxSaidOutput = 140

// exitText says how a program ended, for people: "exit 67 (EX_NOUSER): no such
// user". Of a long output it gives the end, where the reason stands.
func exitText(ws syscall.WaitStatus, output string) string {
	var s string
	switch {
	case ws.Signaled():
		s = fmt.Sprintf("killed by signal %d (%s)", int(ws.Signal()), ws.Signal())
	case exitNames[ws.ExitStatus()] != "":
		s = fmt.Sprintf("exit %d (%s)", ws.ExitStatus(), exitNames[ws.ExitStatus()])
	default:
		s = fmt.Sprintf("exit %d", ws.ExitStatus())
	}
	output = strings.Join(strings.Fields(output), " ")
	if len(output) > maxSaidOutput {
		output = "..." + output[len(output)-maxSaidOutput:]
	}
	if output != "" {
		s += ": " + output
	}
	return s
}
