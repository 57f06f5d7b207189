package main

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"smap/courier/agent"
	"smap/netperm"
)

// checkAgents looks for agents that every delivery would fail with, or that give
// the mail back to us.
func (r *rules) checkAgents() error {
	r.checkTimeout()
	for _, a := range r.agents() {
		switch a.words[0] {
		case "sendmail":
			if err := r.checkLoop(a); err != nil {
				return err
			}
		case "exec":
			r.checkNoShell(a)
		case "maildir":
			r.checkMaildir(a)
		}
	}
	return nil
}

// checkTimeout warns of a limit that no agent of the table has.
func (r *rules) checkTimeout() {
	for _, a := range r.agents() {
		if k := a.words[0]; k != "smtp" && k != "lmtp" && k != "maildir" {
			return
		}
	}
	if r.table.Has(netperm.AgentTimeout) {
		r.doubts = append(r.doubts, r.table.Errorf(netperm.AgentTimeout,
			"has no effect: it limits only programs (agents sendmail and exec); SMTP and LMTP have their own timeouts"))
	}
}

// defaultAgent is the agent of a table without one.
func (r *rules) defaultAgent() []string {
	argv := r.table.Words(netperm.Sendmail)
	if len(argv) == 0 {
		argv = []string{agent.SystemSendmail()}
	}
	return append([]string{"sendmail"}, argv...)
}

// checkLoop refuses smapq as the sendmail program: it would feed each message to
// the spool from which it came.
func (r *rules) checkLoop(a namedAgent) error {
	program := a.words[1]
	real, err := filepath.EvalSymlinks(program)
	if err != nil || filepath.Base(real) != "smapq" {
		return nil // a program that does not exist is reported elsewhere
	}
	return a.fail("%s is %s, which puts mail into the spool: each message would come back; name the mail server's own sendmail, or its address with agent smtp", program, real)
}

// checkNoShell warns of words that only a shell understands.
func (r *rules) checkNoShell(a namedAgent) {
	words := a.words[1:]
	for i, w := range words {
		if i > 0 && strings.IndexAny(strings.TrimLeft(w, "012&"), "|<>;&") == 0 {
			r.doubts = append(r.doubts, a.fail(
				"%q is an argument of %s: no shell reads this line; put the command into a script", w, words[0]))
			return
		}
	}
}

// checkMaildir finds out whether the Maildir exists, or can be made.
func (r *rules) checkMaildir(a namedAgent) {
	dir := a.words[1]
	at := dir
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		at = filepath.Dir(dir)
	}
	uid, gid := os.Geteuid(), os.Getegid()
	var err error
	if uid == 0 {
		if uid, gid, err = r.table.Identity(); err != nil {
			return // reported elsewhere
		}
	}
	if err := netperm.CanWrite(at, uid, gid); err != nil {
		r.missing = append(r.missing, a.fail("%w: the Maildir %s cannot be made or used", err, dir))
	}
}

// maxBytes is the size that smap allows for the mail of this spool; 0 is unknown.
func (r *rules) maxBytes() int64 {
	smap, err := netperm.Parse(r.Text, r.File, netperm.Options{Program: "smap"})
	if err != nil || filepath.Clean(smap.String(netperm.Directory)) != filepath.Clean(r.table.String(netperm.Directory)) {
		return 0
	}
	n := smap.Int(netperm.MaxBytes)
	if n == 0 {
		n = math.MaxInt64 // no limit of the server is large enough
	}
	return n
}

// tooSmall warns of a server that takes less than smap does.
func (r *rules) tooSmall(name string, limit int64) {
	if r.log == nil {
		return
	}
	r.log.Warn(eventSmallLimit, "agent", name, "limit", limit, "note", "smap's maxbytes allows more: the server refuses larger mail after smap has accepted it; set maxbytes to this limit")
}
