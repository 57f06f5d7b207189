// Package agent hands mail on: to a program, a Maildir, or an SMTP or LMTP server.
// It knows nothing of spools and schedules.
//
// # Exit codes
//
// What the exit code of a program means. No other code, and no signal, ever fails
// mail:
//
//	0    delivered
//	65   failed      EX_DATAERR
//	67   failed      EX_NOUSER
//	68   failed      EX_NOHOST
//	100  failed      qmail's hard error
//	*    retry       until the maximum age
package agent

import (
	"context"
	"fmt"
	"os"

	"smap/spoolfmt/envelope"
)

// An Agent takes mail out of our hands. What each can report:
//
//	agent     verdict for     permanent failure                unreachable (StartError)
//	sendmail  the whole call  exit 65, 67, 68, 100             program cannot be executed
//	exec      the whole call  the same                         the same
//	maildir   each recipient  never                            the Maildir cannot be opened
//	lmtp      each recipient  5yz to MAIL, RCPT, DATA or after no connection, no good reply before MAIL
//	smtp      each recipient  the same                         the same, TLS or AUTH refused
//
// Deliver is called from several goroutines at once.
type Agent interface {
	// Name identifies the agent in the log.
	Name() string
	// MaxRecipients is the most recipients that one call takes; 0 is no limit.
	MaxRecipients() int
	// Deliver makes one attempt for all recipients of the job and returns a
	// result for each, in their order. It honours the context: when that is
	// done, it stops as soon as it can, and everything unfinished is Retry.
	// An error means that nothing was attempted: a *StartError, because the agent
	// itself cannot be started or reached, or a *ContentError.
	Deliver(ctx context.Context, job *Job) ([]Result, error)
	// Close ends connections that are kept.
	Close() error
}

// A Job is one call of an agent: a message and some of its recipients.
type Job struct {
	ID         string
	Sender     envelope.Path
	Recipients []envelope.Path
	// Content is the message. The agent rewinds it before use. Nobody else
	// uses it during the call.
	Content *os.File
	// Open returns the content once more, for one program. It has a position of its
	// own, so processes that another program left behind cannot move it. The caller
	// closes it.
	Open func() (*os.File, error)
	// Lock, when it is not nil, is passed to programs so that the message stays
	// owned while they run.
	Lock *os.File
	Size int64
	// Envelope is for reading only.
	Envelope *envelope.Envelope
	// EnvelopePath is where the envelope's file is.
	EnvelopePath string
}

// A Result is what became of one recipient.
type Result struct {
	Outcome Outcome
	// Text says it in words, as the agent did: for the log, the envelope and
	// reports to senders.
	Text string
	// Status is the enhanced status code of RFC 3463, empty when unknown.
	Status string
	// Remote is the name of the server that spoke, empty for a program.
	Remote string
	// Reply is that server's reply to a command, code first.
	Reply string
	// DSN: the agent has taken over the request for a report of success.
	DSN bool
}

// A StartError says that an agent could not be started or reached at all. That is not
// the message's fault: the courier counts no attempt.
type StartError struct {
	Agent string
	Err   error
}

func (e *StartError) Error() string { return fmt.Sprintf("%s: %v", e.Agent, e.Err) }

// Unwrap returns the reason.
func (e *StartError) Unwrap() error { return e.Err }

// A ContentError says that the content could not be opened for an agent. That is
// trouble with the spool or the system, of which the agent knows nothing.
type ContentError struct {
	Err error
}

func (e *ContentError) Error() string { return fmt.Sprintf("content: %v", e.Err) }

// Unwrap returns the reason.
func (e *ContentError) Unwrap() error { return e.Err }

// A Grouper is an agent that takes recipients in one call only when they have
// something in common.
type Grouper interface {
	// Group returns what the recipients of one call must have in common.
	Group(to envelope.Path) string
}

// A Keyer is an agent whose mail may hang together, such as the mail for one domain.
type Keyer interface {
	// Keys returns what such mail has in common, of a recipient and the client's address.
	Keys(to, client string) Keys
}

// Keys are what messages may hang together by, each an opaque text.
type Keys struct {
	To     string // the recipient's; empty is not known
	Client string // the client's; empty is none
}

// HasLimits tells whether an agent bounds its calls itself, by limits that progress
// renews.
func HasLimits(a Agent) bool {
	_, ok := a.(*Remote)
	return ok
}

// Final tells whether mail has arrived when an agent takes it, as opposed to being
// on its way to another server.
func Final(a Agent) bool {
	switch a := a.(type) {
	case *Maildir:
		return true
	case *Remote:
		return a.LMTP
	}
	return false
}

// Local tells whether an agent can deliver mail for people on this host, such as the
// administrator: a mail server here, or a mailbox. A script and a server elsewhere
// cannot.
func Local(a Agent) bool {
	switch a := a.(type) {
	case *Maildir, *Sendmail:
		return true
	case *Remote:
		return a.LMTP || a.Local()
	}
	return false
}

// Same gives every recipient of a job the same result.
func (j *Job) Same(r Result) []Result {
	out := make([]Result, len(j.Recipients))
	for i := range out {
		out[i] = r
	}
	return out
}

// Addresses returns the recipients' addresses.
func (j *Job) Addresses() []string {
	out := make([]string, len(j.Recipients))
	for i, r := range j.Recipients {
		out[i] = r.Address
	}
	return out
}
