package agent

import (
	"context"
	"fmt"
	"strings"
)

// Exec runs a program for each message, or for each recipient where its
// arguments ask for one.
type Exec struct {
	// Argv is the program's absolute path and its arguments, in which these
	// are replaced: {sender}, {recipient}, {recipients}, {id}, {envelope}.
	// {recipients} must be an argument of its own and becomes one argument for
	// each. A word that holds {recipient} makes one call for each recipient.
	Argv []string
}

// placeholders are the words that Exec replaces.
var placeholders = []string{"{sender}", "{recipient}", "{recipients}", "{id}", "{envelope}"}

// CheckTemplate returns what is wrong with the argv of an Exec.
func CheckTemplate(argv []string) error {
	if len(argv) == 0 || !strings.HasPrefix(argv[0], "/") {
		return fmt.Errorf("the program must be an absolute path")
	}
	for i, word := range argv {
		rest := word
		for {
			open := strings.IndexByte(rest, '{')
			if open < 0 {
				break
			}
			end := strings.IndexByte(rest[open:], '}')
			if end < 0 {
				break
			}
			name := rest[open : open+end+1]
			known := false
			for _, p := range placeholders {
				known = known || p == name
			}
			switch {
			case !known:
				return fmt.Errorf("unknown placeholder %s in %q", name, word)
			case i == 0:
				return fmt.Errorf("no placeholder may choose the program")
			case name == "{recipients}" && word != name:
				return fmt.Errorf("{recipients} must be a word of its own, not part of %q", word)
			}
			rest = rest[open+end+1:]
		}
	}
	return nil
}

// Name returns "exec" and the program.
func (a *Exec) Name() string { return "exec " + a.Argv[0] }

// MaxRecipients returns 1 when the arguments hold {recipient}, else 0.
func (a *Exec) MaxRecipients() int {
	for _, w := range a.Argv {
		if strings.Contains(w, "{recipient}") {
			return 1
		}
	}
	return 0
}

// Keys returns the recipient: a script may hang for one of them.
func (a *Exec) Keys(to, _ string) Keys { return Keys{To: strings.ToLower(to)} }

// Close does nothing.
func (a *Exec) Close() error { return nil }

// Deliver runs the program once. The environment describes the message too, so that
// a script needs no arguments.
func (a *Exec) Deliver(ctx context.Context, job *Job) ([]Result, error) {
	return runProgram(ctx, a.Name(), a.argv(job), Environment(job), job)
}

func (a *Exec) argv(job *Job) []string {
	var recipient string
	if len(job.Recipients) > 0 {
		recipient = job.Recipients[0].Address
	}
	// One pass: an address that looks like a placeholder is not replaced again.
	r := strings.NewReplacer("{sender}", job.Sender.Address, "{recipient}", recipient,
		"{id}", job.ID, "{envelope}", job.EnvelopePath)
	argv := []string{a.Argv[0]}
	for _, w := range a.Argv[1:] {
		if w == "{recipients}" {
			argv = append(argv, job.Addresses()...)
			continue
		}
		argv = append(argv, r.Replace(w))
	}
	return argv
}
