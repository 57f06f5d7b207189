package courier

import "context"

// Sendmail is any program that takes mail as sendmail(1) does: the content on
// standard input, the envelope in arguments.
type Sendmail struct {
	// Argv is the program's absolute path and arguments that come before ours.
	Argv []string
}

// Name returns "sendmail" and the program.
func (a *Sendmail) Name() string { return "sendmail " + a.Argv[0] }

// MaxRecipients returns 0: sendmail takes any number.
func (a *Sendmail) MaxRecipients() int { return 0 }

// Close does nothing.
func (a *Sendmail) Close() error { return nil }

// Deliver calls the program as PROGRAM [ARG...] -i -f SENDER -- RECIPIENT...;
// -i because a line with a lone dot must survive, -- because nothing that a
// stranger wrote may be taken for an option. The null sender is "<>", which all
// of them understand; an empty argument is lost in some wrappers.
func (a *Sendmail) Deliver(ctx context.Context, job *Job) ([]Result, error) {
	return runProgram(ctx, a.Name(), a.argv(job), facts(job), job)
}

func (a *Sendmail) argv(job *Job) []string {
	argv := make([]string, 0, len(a.Argv)+len(job.Recipients)+4)
	argv = append(argv, a.Argv...)
	sender := job.Sender.Address
	if sender == "" {
		sender = "<>"
	}
	argv = append(argv, "-i", "-f", sender, "--")
	return append(argv, job.addresses()...)
}
