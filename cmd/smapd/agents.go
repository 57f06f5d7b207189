package main

import (
	"os"

	"smap/courier"
)

// sendmails are where a sendmail program is looked for.
var sendmails = []string{"/usr/lib/sendmail", "/usr/sbin/sendmail"}

// makeAgent makes the agent that a clause describes.
func makeAgent(r *rules, clause string) (courier.Agent, error) {
	t := r.table
	words := t.Words(clause)
	if len(words) == 0 {
		argv := t.Words("sendmail")
		if len(argv) == 0 {
			argv = []string{sendmails[len(sendmails)-1]}
			for _, p := range sendmails {
				if _, err := os.Stat(p); err == nil {
					argv = []string{p}
					break
				}
			}
		}
		return &courier.Sendmail{Argv: argv}, nil
	}
	kind, args := words[0], words[1:]
	switch kind {
	case "sendmail":
		return &courier.Sendmail{Argv: args}, nil
	case "exec":
		if err := courier.CheckTemplate(args); err != nil {
			return nil, t.Errorf(clause, "%w", err)
		}
		return &courier.Exec{Argv: args}, nil
	case "maildir":
		return courier.NewMaildir(args[0]), nil
	}
	return nil, t.Errorf(clause, "agent %s is not built into this smapd", kind)
}
