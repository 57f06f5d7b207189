package agent

import (
	"fmt"
	"strings"
	"syscall"

	"smap/internal/sysexits"
)

// An Outcome is what an attempt means for a recipient. The zero value is to
// try again: what is not understood must not lose mail.
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

// ExitOutcome returns what the exit code of a program means for every recipient of
// the call. It is the contract between smapd and the programs that it runs, and
// smapd(8) repeats it. Any other code, and any number that is no exit code, is Retry.
func ExitOutcome(code int) Outcome {
	switch code {
	case sysexits.OK:
		return Delivered
	case sysexits.DataErr, sysexits.NoUser, sysexits.NoHost, sysexits.HardError:
		return Failed
	}
	return Retry
}

// exitStatus returns the enhanced status code of RFC 3463 that means the same as
// an exit code, for reports to senders.
func exitStatus(code int) string {
	switch code {
	case sysexits.OK:
		return "2.0.0"
	case sysexits.DataErr:
		return "5.6.0"
	case sysexits.NoUser:
		return "5.1.1"
	case sysexits.NoHost:
		return "5.1.2"
	case sysexits.HardError:
		return "5.0.0"
	}
	return "4.0.0"
}

// ExitResult returns what the end of a program means for every recipient of the
// call. output is what the program wrote, or the end of it.
func ExitResult(ws syscall.WaitStatus, output string) Result {
	r := Result{Outcome: Retry, Text: exitText(ws, output), Status: "4.0.0"}
	if ws.Exited() {
		r.Outcome, r.Status = ExitOutcome(ws.ExitStatus()), exitStatus(ws.ExitStatus())
	}
	return r
}

// MaxText is how many octets of a result's text an envelope keeps. The reason must be
// among them.
const MaxText = 200

// maxQuote bounds what exitText quotes of a program's output. With all that comes
// before it, the end must fit into MaxText.
const maxQuote = 140

// exitText describes how a program ended: "exit 67 (EX_NOUSER): no such user". Of a
// long output it quotes the end, which has the reason.
func exitText(ws syscall.WaitStatus, output string) string {
	var s string
	switch {
	case ws.Signaled():
		s = fmt.Sprintf("killed by signal %d (%s)", int(ws.Signal()), ws.Signal())
	case sysexits.Name(ws.ExitStatus()) != "":
		s = fmt.Sprintf("exit %d (%s)", ws.ExitStatus(), sysexits.Name(ws.ExitStatus()))
	default:
		s = fmt.Sprintf("exit %d", ws.ExitStatus())
	}
	output = strings.Join(strings.Fields(output), " ")
	if len(output) > maxQuote {
		output = output[len(output)-maxQuote:]
		if _, words, ok := strings.Cut(output, " "); ok { // half a word, and an address in it, would be no reason that repeats
			output = words
		}
		output = "... " + output
	}
	if output != "" {
		s += ": " + output
	}
	return s
}
