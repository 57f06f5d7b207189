package main

import (
	"fmt"
	"io/fs"

	"smap/courier/agent"
	"smap/netperm"
)

// makeAgent makes the agent that a clause describes. Without the clause it is the
// sendmail program.
func makeAgent(r *rules, clause netperm.WordsClause) (agent.Agent, error) {
	t := r.table
	words := t.Words(clause)
	if len(words) == 0 {
		words = r.defaultAgent()
	}
	a, err := agent.Parse(words, agent.Options{Hostname: t.String(netperm.Hostname), ReadFile: r.readFile})
	if err != nil {
		return nil, t.Errorf(clause, "%w", err)
	}
	return a, nil
}

// readFile returns a file that the table names and readFiles has read.
func (r *rules) readFile(name string) ([]byte, error) {
	data, ok := r.Files[name]
	if !ok {
		return nil, fmt.Errorf("%w: it was not read with the table", fs.ErrNotExist)
	}
	return data, nil
}
