package agent

import (
	"errors"
	"fmt"
	"strings"

	"smap/spoolfmt/envelope"
)

// errStale means that a connection that was kept had ended before it took anything of
// this message.
var errStale = errors.New("kept connection is gone")

// Commands that are sent before a reply is read (RFC 2920) are bounded in
// number and octets, so that neither side ever waits for the other to read.
const (
	maxWindow       = 50
	maxWindowOctets = 8 << 10
)

// A transaction is one message on its way through a connection. A result
// without text is not decided yet.
type transaction struct {
	c        *smtpConn
	job      *Job
	results  []Result
	to       []int // recipients that are named to the server
	accepted []int // those of them that it takes
	tooMany  []int // recipients that the server takes in another transaction
	refused  bool  // MAIL was
	again    bool  // an earlier transaction of this message went through
	data     bool  // DATA was taken: content must follow
}

// transact sends one message. An error means that the connection is of no use
// any more; results that are not decided then are Retry. errStale means that
// nothing at all was done.
func (c *smtpConn) transact(job *Job) ([]Result, error) { return c.transactAgain(job, false) }

// transactAgain is transact, or its continuation for recipients that were too many
// for the transaction before.
func (c *smtpConn) transactAgain(job *Job, again bool) ([]Result, error) {
	t := &transaction{c: c, job: job, results: make([]Result, len(job.Recipients)), again: again}
	mail, err := c.mailCommand(job)
	if err != nil {
		return job.Same(Result{Outcome: Failed, Text: err.Error(), Status: "5.6.7", Remote: c.name}), nil
	}
	commands := append([]string{mail}, t.rcptCommands()...)
	if len(t.to) == 0 {
		return t.results, nil
	}
	if err := t.envelope(append(commands, "DATA")); err != nil {
		return t.results, err
	}
	switch {
	case t.data && len(t.accepted) > 0:
		if err := t.content(); err != nil {
			return t.results, err
		}
		return t.results, t.others()
	case t.data && c.opt.LMTP:
		// The server owes a reply for each recipient that it took: none. It
		// should not have answered 354 (RFC 2033), and what it expects is unclear.
		return t.results, errors.New("the server answered DATA with 354, but had accepted no recipient")
	case t.data:
		_, err := c.command(".") // an empty content, for nobody: RFC 2920
		return t.results, err
	}
	// Nothing of this transaction may be left when the next one begins.
	_, err = c.expect(250, "RSET")
	return t.results, err
}

// envelope sends the commands, as many at once as the server allows, and reads
// the replies. It stops when no recipient is left.
func (t *transaction) envelope(commands []string) error {
	_, pipelining := t.c.ext["PIPELINING"]
	for done := 0; done < len(commands); {
		n, size := 1, len(commands[done])
		for pipelining && done+n < len(commands) && n < maxWindow && size+len(commands[done+n]) < maxWindowOctets {
			size += len(commands[done+n])
			n++
		}
		if last := done+n == len(commands); t.refused || last && n == 1 && len(t.accepted) == 0 {
			return nil
		}
		if err := t.window(done, commands[done:done+n], len(commands)-1); err != nil {
			return err
		}
		done += n
	}
	return nil
}

// window sends some commands, the first of which is number first, and reads
// their replies; DATA is number last.
func (t *transaction) window(first int, commands []string, last int) error {
	err := t.c.sendAll(commands)
	for i := 0; err == nil && i < len(commands); i++ {
		var r reply
		within := t.c.opt.limits.command
		if first+i == last {
			within = t.c.opt.limits.data
		}
		if r, err = t.c.read(within); err != nil {
			break
		}
		verb, _, _ := strings.Cut(commands[i], " ")
		if r.code == 421 || first+i == 0 && r.code == 503 && t.fresh() {
			// It closes; or a kept connection is in another state than we think.
			if first+i == 0 && t.fresh() {
				return errStale
			}
			return &replyError{verb, r}
		}
		t.answer(first+i, last, verb, r)
	}
	if err != nil && first == 0 && t.fresh() && len(t.accepted) == 0 {
		return errStale
	}
	if err != nil {
		verb, _, _ := strings.Cut(commands[0], " ")
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// fresh tells whether a connection was kept from another message, and nothing of this
// one was sent yet.
func (t *transaction) fresh() bool { return t.c.used > 0 && !t.again }

// answer notes what a reply says.
func (t *transaction) answer(command, last int, verb string, r reply) {
	good := r.code/100 == 2
	switch command {
	case 0:
		if t.refused = !good; t.refused {
			t.decide(t.to, t.c.refusal(verb, r))
		}
	case last:
		if t.data = r.code == 354; !t.data {
			t.decide(t.accepted, t.c.refusal(verb, r))
			t.accepted = nil
		}
	default:
		i := t.to[command-1]
		switch {
		case t.refused: // the sender's refusal is what counts
		case good:
			t.accepted = append(t.accepted, i)
		default:
			if r.code == 552 {
				r.code = 452 // RFC 5321 4.5.3.1.10: too many recipients
			}
			t.results[i] = t.c.refusal(verb, r)
			if r.code == 452 {
				t.tooMany = append(t.tooMany, i)
			}
		}
	}
}

// others sends the message to those that were too many for one transaction. Each
// transaction takes some of them, or it is the last.
func (t *transaction) others() error {
	if len(t.tooMany) == 0 {
		return nil
	}
	job := *t.job
	job.Recipients = nil
	for _, i := range t.tooMany {
		job.Recipients = append(job.Recipients, t.job.Recipients[i])
	}
	results, err := t.c.transactAgain(&job, true)
	for n, i := range t.tooMany {
		if results[n].Text != "" {
			t.results[i] = results[n]
		}
	}
	return err
}

func (t *transaction) decide(which []int, r Result) {
	for _, i := range which {
		t.results[i] = r
	}
}

// content sends the content to those that were accepted, and reads the verdict.
func (t *transaction) content() error {
	c := t.c
	if err := c.data(t.job); err != nil {
		t.decide(t.accepted, c.broken(err))
		return err
	}
	if err := c.w.Flush(); err != nil {
		t.decide(t.accepted, c.broken(err))
		return err
	}
	// SMTP has one verdict for all; LMTP one for each that it accepted.
	for n := range t.accepted {
		which := t.accepted[n : n+1]
		if !c.opt.LMTP {
			which = t.accepted
		}
		r, err := c.read(c.opt.limits.final)
		if err != nil {
			return fmt.Errorf("end of DATA: %w", err)
		}
		t.decide(which, c.final(r))
		if r.code == 421 {
			return &replyError{"end of DATA", r}
		}
		if !c.opt.LMTP {
			break
		}
	}
	return nil
}

// final is the verdict after the last dot.
func (c *smtpConn) final(r reply) Result {
	if r.code/100 != 2 {
		return c.refusal("end of DATA", r)
	}
	_, dsn := c.ext["DSN"]
	return Result{Outcome: Delivered, Text: r.String(), Status: r.status(), Remote: c.name, Reply: r.String(), DSN: dsn}
}

// refusal is the result for a reply that is not the one that was asked for. It
// is never a success.
func (c *smtpConn) refusal(command string, r reply) Result {
	res := Result{Text: command + ": " + r.String(), Status: r.status(), Remote: c.name, Reply: r.String()}
	if r.code/100 == 5 {
		res.Outcome = Failed
	}
	return res
}

// mailCommand is MAIL with the parameters that both the message has and the
// server takes. The error is permanent.
func (c *smtpConn) mailCommand(job *Job) (string, error) {
	var b strings.Builder
	b.WriteString("MAIL FROM:<" + c.qualify(job.Sender.Address) + ">")
	if _, ok := c.ext["SIZE"]; ok {
		size, err := wireSize(job.Content, job.Size)
		if err == nil { // else it fails when it is sent
			fmt.Fprintf(&b, " SIZE=%d", size)
		}
	}
	if _, ok := c.ext["8BITMIME"]; ok {
		b.WriteString(" BODY=8BITMIME")
	}
	_, asked := job.Sender.Param("SMTPUTF8")
	if _, ok := c.ext["SMTPUTF8"]; ok {
		if asked || needsUTF8(job) {
			b.WriteString(" SMTPUTF8")
		}
	} else if !ascii(job.Sender.Address) {
		return "", errors.New("the sender's address is not ASCII, and the server does not offer SMTPUTF8")
	} else if asked && !headerASCII(job.Content) {
		return "", errors.New("the header is not ASCII, and the server does not offer SMTPUTF8")
	}
	if _, ok := c.ext["DSN"]; ok {
		addParams(&b, job.Sender, "RET", "ENVID")
	}
	return b.String(), nil
}

// rcptCommands are the RCPT commands. A recipient fails if its address cannot be sent
// to this server.
func (t *transaction) rcptCommands() []string {
	var commands []string
	_, utf8 := t.c.ext["SMTPUTF8"]
	_, dsn := t.c.ext["DSN"]
	for i, to := range t.job.Recipients {
		if !utf8 && !ascii(to.Address) {
			t.results[i] = Result{Outcome: Failed, Status: "5.6.7", Remote: t.c.name,
				Text: "the address is not ASCII, and the server does not offer SMTPUTF8"}
			continue
		}
		var b strings.Builder
		b.WriteString("RCPT TO:<" + t.c.qualify(to.Address) + ">")
		if dsn {
			addParams(&b, to, "NOTIFY")
			if orcpt, _ := to.Param("ORCPT"); utf8 || ascii(orcpt) && !hasPrefixFold(orcpt, "utf-8;") {
				addParams(&b, to, "ORCPT")
			}
		}
		t.to = append(t.to, i)
		commands = append(commands, b.String())
	}
	return commands
}

// qualify completes an address of this host for SMTP, which knows none without
// a domain but postmaster's. To LMTP it may be the name of a mailbox.
func (c *smtpConn) qualify(address string) string {
	_, domain := envelope.SplitAddress(address)
	if c.opt.LMTP || address == "" || domain != "" || strings.EqualFold(address, "postmaster") {
		return address
	}
	return address + "@" + c.opt.Helo
}

// addParams passes parameters on as they came; their syntax was checked when the
// envelope was read.
func addParams(b *strings.Builder, p envelope.Path, keywords ...string) {
	for _, k := range keywords {
		if v, ok := p.Param(k); ok && v != "" {
			b.WriteString(" " + k + "=" + v)
		}
	}
}

// needsUTF8 tells whether an address is not ASCII.
func needsUTF8(job *Job) bool {
	for _, to := range job.Recipients {
		if !ascii(to.Address) {
			return true
		}
	}
	return !ascii(job.Sender.Address)
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= 0x80 }) < 0
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
