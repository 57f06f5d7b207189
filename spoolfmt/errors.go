package spoolfmt

import (
	"errors"
	"fmt"
)

// Errors of [Spool.Claim] and [Spool.ClaimDrop] which say that this process
// does not own the message now. None of them is a fault of the message.
var (
	// ErrBusy: a living process holds the content's lock, or the files moved
	// while they were looked at. Look again within a second.
	ErrBusy = errors.New("owned by another process")
	// ErrGone: there is no message of that id any more; somebody else took it.
	ErrGone = errors.New("no such message")
	// ErrBlocked: another message has this id too; of a claim, one in cur. Look
	// again when that one is done.
	ErrBlocked = errors.New("another message has this id")
	// ErrLinked: what is to be requeued has a second name.
	ErrLinked = errors.New("content has more than one link")
	// ErrAlone: an envelope without content. Look again, not sooner than
	// [LookAgain]; after 36 hours the claim succeeds, and Load says that the
	// message is malformed.
	ErrAlone = errors.New("envelope without content")
)

// A CommitError says at which step of a commit the system failed.
type CommitError struct {
	// Step names the step, such as "fsync content".
	Step string
	// Visible is true when the message is in new/ all the same, whole, and
	// drainers will take it, but a power cut could still lose it. It is false
	// when no part of the message can ever be delivered.
	Visible bool
	Err     error
}

func (e *CommitError) Error() string {
	if e.Visible {
		return fmt.Sprintf("commit: %s (visible, perhaps not durable): %v", e.Step, e.Err)
	}
	return fmt.Sprintf("commit: %s: %v", e.Step, e.Err)
}

// Unwrap returns the system's error.
func (e *CommitError) Unwrap() error { return e.Err }

// A MalformedError says why a message that this process owns can never be
// delivered and has to be set aside: the message is at fault, not the system.
type MalformedError struct {
	// File is the file at fault, relative to the spool: "cur/ID.envelope".
	File string
	Err  error
}

func (e *MalformedError) Error() string { return e.File + ": " + e.Err.Error() }

// Unwrap returns the reason, for an envelope a *[ParseError].
func (e *MalformedError) Unwrap() error { return e.Err }
