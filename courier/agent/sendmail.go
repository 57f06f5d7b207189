package agent

import (
	"context"
	"strings"

	"smap/spoolfmt/envelope"
)

// Sendmail is any program that takes mail as sendmail(1) does: the content on
// standard input, the envelope in arguments.
type Sendmail struct {
	// Argv is the program's absolute path and arguments that come before ours.
	// Two words become options that not every such program understands (to Exim, -N
	// means to throw mail away), so the table decides:
	// {dsn} becomes -N, -R and -V as the message has NOTIFY, RET and ENVID, and
	// {body} becomes -B8BITMIME where the message says so.
	Argv []string
}

const (
	wordDSN  = "{dsn}"
	wordBody = "{body}"
)

// Name returns "sendmail" and the program.
func (a *Sendmail) Name() string { return "sendmail " + a.Argv[0] }

// MaxRecipients returns 0: sendmail takes any number.
func (a *Sendmail) MaxRecipients() int { return 0 }

// Close does nothing.
func (a *Sendmail) Close() error { return nil }

// Group returns what the recipients of one call must have in common: -N is for
// all of them.
func (a *Sendmail) Group(to envelope.Path) string {
	if !a.dsn() {
		return ""
	}
	notify, _ := to.Param("NOTIFY")
	return strings.ToUpper(notify)
}

func (a *Sendmail) dsn() bool {
	for _, w := range a.Argv {
		if w == wordDSN {
			return true
		}
	}
	return false
}

// Deliver calls the program as PROGRAM [ARG...] -i -f SENDER -- RECIPIENT...;
// -i because a line with a lone dot must survive, -- because a
// stranger's address must not become an option. The null sender is "<>", which
// Postfix, Exim, sendmail, nullmailer and msmtp understand; an empty argument
// is lost in some wrappers. dma has no null sender.
func (a *Sendmail) Deliver(ctx context.Context, job *Job) ([]Result, error) {
	results, err := runProgram(ctx, a.Name(), a.argv(job), Environment(job), job)
	if a.dsn() {
		for i := range results {
			results[i].DSN = results[i].Outcome == Delivered
		}
	}
	return results, err
}

func (a *Sendmail) argv(job *Job) []string {
	argv := make([]string, 0, len(a.Argv)+len(job.Recipients)+10)
	for _, w := range a.Argv {
		switch w {
		case wordDSN:
			argv = append(argv, dsnOptions(job)...)
		case wordBody:
			if body, ok := job.Sender.Param("BODY"); ok && !strings.EqualFold(body, "7BIT") {
				argv = append(argv, "-B8BITMIME")
			}
		default:
			argv = append(argv, w)
		}
	}
	sender := job.Sender.Address
	if sender == "" {
		sender = "<>"
	}
	argv = append(argv, "-i", "-f", sender, "--")
	return append(argv, job.Addresses()...)
}

// dsnOptions are the options for RFC 3461's parameters. Values were checked
// when the envelope was read and cannot be taken for options: each follows its
// letter as an argument of its own.
func dsnOptions(job *Job) []string {
	var out []string
	if notify, ok := job.Recipients[0].Param("NOTIFY"); ok {
		out = append(out, "-N", strings.ToLower(notify))
	}
	if ret, ok := job.Sender.Param("RET"); ok {
		out = append(out, "-R", strings.ToLower(ret))
	}
	if id, ok := job.Sender.Param("ENVID"); ok {
		out = append(out, "-V", id)
	}
	return out
}
