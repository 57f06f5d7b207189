package courier

import (
	"context"
	"fmt"
	"strconv"
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

// CheckTemplate says what is wrong with an Exec's argv, nil when nothing is.
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

// Close does nothing.
func (a *Exec) Close() error { return nil }

// Deliver runs the program once. Facts of the message are in its environment
// too, so that a script need not ask for arguments.
func (a *Exec) Deliver(ctx context.Context, job *Job) ([]Result, error) {
	return runProgram(ctx, a.Name(), a.argv(job), facts(job), job)
}

func (a *Exec) argv(job *Job) []string {
	var recipient string
	if len(job.Recipients) > 0 {
		recipient = job.Recipients[0].Address
	}
	// One pass: an address that looks like a placeholder stays what it is.
	r := strings.NewReplacer("{sender}", job.Sender.Address, "{recipient}", recipient,
		"{id}", job.ID, "{envelope}", job.EnvelopePath)
	argv := []string{a.Argv[0]}
	for _, w := range a.Argv[1:] {
		if w == "{recipients}" {
			argv = append(argv, job.addresses()...)
			continue
		}
		argv = append(argv, r.Replace(w))
	}
	return argv
}

// envFacts are the envelope's fields that agents find in their environment.
var envFacts = []struct{ name, field string }{
	{"SMAP_CLIENT_ADDRESS", "Client-Address"},
	{"SMAP_CLIENT_NAME", "Client-Name"},
	{"SMAP_CLIENT_IDENT", "Client-Ident"},
	{"SMAP_HELO", "Helo"},
	{"SMAP_PROTOCOL", "Protocol"},
	{"SMAP_TLS", "TLS"},
	{"SMAP_RECEIVED_AT", "Received-At"},
}

// facts returns the environment that describes a message. SMAP_RECIPIENTS has
// one address on each line; an address cannot hold a line end.
func facts(job *Job) []string {
	env := make([]string, 0, len(envFacts)+len(baseEnv)+8)
	env = append(env,
		"SMAP_ID="+job.ID,
		"SMAP_SENDER="+job.Sender.Address,
		"SMAP_RECIPIENTS="+strings.Join(job.addresses(), "\n"),
		"SMAP_SIZE="+strconv.FormatInt(job.Size, 10),
		"SMAP_ENVELOPE="+job.EnvelopePath,
	)
	if len(job.Recipients) == 1 {
		env = append(env, "SMAP_RECIPIENT="+job.Recipients[0].Address)
	}
	for _, f := range envFacts {
		if v := job.Envelope.Get(f.field); v != "" {
			env = append(env, f.name+"="+v)
		}
	}
	return env
}
