package courier

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"smap/spoolfmt"
)

// errBareCR: a content that could smuggle. The spool has checked it before; it
// is checked again on the way out.
var errBareCR = errors.New("content holds a CR: not sent")

// errStale: a connection that was kept had ended before it took anything of
// this message.
var errStale = errors.New("kept connection is gone")

// transact sends one message. The results are one for each recipient. An error
// means that the connection is of no use any more; results that are known stay
// as they are, and the rest are Retry.
func (c *smtpConn) transact(job *Job) ([]Result, error) {
	results := job.same(Result{Text: "not sent", Remote: c.name})
	mail, err := c.mailCommand(job)
	if err != nil {
		return job.same(Result{Outcome: Failed, Text: err.Error(), Status: "5.6.7"}), nil
	}
	_, pipelining := c.ext["PIPELINING"]
	commands := []string{mail}
	for _, r := range job.Recipients {
		commands = append(commands, c.rcptCommand(r))
	}
	if pipelining {
		err = c.sendAll(append(commands, "DATA"))
	} else {
		err = c.sendAll(commands[:1])
	}
	var from reply
	if err == nil {
		from, err = c.read()
	}
	if err != nil || from.code == 421 && c.used > 0 {
		if c.used > 0 {
			return results, errStale
		}
		return explain(results, "MAIL", err), fmt.Errorf("MAIL: %w", orReply("MAIL", from, err))
	}
	refused := from.code != 250
	if refused {
		results = job.same(c.result("MAIL", from))
		if !pipelining {
			return results, nil
		}
	}
	accepted, err := c.recipients(commands[1:], results, pipelining, refused)
	if err != nil {
		return explain(results, "RCPT", err), err
	}
	if len(accepted) == 0 && !pipelining {
		_, err := c.expect(250, "RSET")
		return results, err
	}
	return c.content(job, results, accepted, pipelining)
}

func orReply(command string, r reply, err error) error {
	if err != nil {
		return err
	}
	return &replyError{command, r}
}

// explain puts the reason into the results that are not decided yet.
func explain(results []Result, command string, err error) []Result {
	for i := range results {
		if results[i].Outcome == Retry && err != nil {
			results[i].Text = command + ": " + err.Error()
		}
	}
	return results
}

func (c *smtpConn) sendAll(commands []string) error {
	for _, line := range commands {
		if err := c.send(line); err != nil {
			return err
		}
	}
	return c.w.Flush()
}

func (c *smtpConn) result(command string, r reply) Result {
	return Result{Outcome: r.outcome(), Text: command + ": " + r.String(), Status: r.status(), Remote: c.name}
}

// recipients deals with the replies to RCPT and returns which were accepted.
func (c *smtpConn) recipients(commands []string, results []Result, sent, refused bool) (accepted []int, err error) {
	for i, line := range commands {
		var r reply
		if sent {
			r, err = c.read()
		} else {
			r, err = c.command(line)
		}
		if err != nil {
			return accepted, err
		}
		switch {
		case refused: // the sender's refusal is what counts
		case r.code == 250 || r.code == 251 || r.code == 252:
			accepted = append(accepted, i)
		default:
			results[i] = c.result("RCPT", r)
			if r.outcome() == Delivered {
				results[i].Outcome = Retry // a 2yz that nobody knows
			}
		}
	}
	return accepted, nil
}

// content sends the message to those that were accepted.
func (c *smtpConn) content(job *Job, results []Result, accepted []int, sent bool) ([]Result, error) {
	var r reply
	var err error
	if sent {
		r, err = c.read()
	} else {
		r, err = c.command("DATA")
	}
	if err != nil {
		return c.setAll(results, accepted, Result{Text: "DATA: " + err.Error()}), err
	}
	if r.code != 354 {
		res := c.result("DATA", r)
		if res.Outcome == Delivered {
			res.Outcome = Retry
		}
		return c.setAll(results, accepted, res), c.after(r, err)
	}
	if len(accepted) == 0 {
		// Pipelined DATA that is taken although nobody is: nothing goes out.
		_, err := c.command(".")
		return results, err
	}
	if err := c.data(job); err != nil {
		return c.setAll(results, accepted, c.broken(err)), err
	}
	if !c.opt.LMTP {
		r, err := c.flushAndRead()
		if err != nil {
			return c.setAll(results, accepted, Result{Text: "end of DATA: " + err.Error()}), err
		}
		res := c.final(r)
		return c.setAll(results, accepted, res), c.after(r, nil)
	}
	if err := c.w.Flush(); err != nil {
		return c.setAll(results, accepted, Result{Text: "end of DATA: " + err.Error()}), err
	}
	for n, i := range accepted {
		r, err := c.read()
		if err != nil {
			return c.setAll(results, accepted[n:], Result{Text: "end of DATA: " + err.Error()}), err
		}
		results[i] = c.final(r)
	}
	return results, nil
}

// broken is the result of a content that could not be written: the server may
// have said why before it closed.
func (c *smtpConn) broken(err error) Result {
	if errors.Is(err, errBareCR) {
		return Result{Outcome: Failed, Text: err.Error(), Status: "5.6.0"}
	}
	var operation *net.OpError
	if errors.As(err, &operation) && !operation.Timeout() {
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
		if r, rerr := c.read(); rerr == nil && r.code >= 400 {
			return c.result("DATA", r)
		}
	}
	return Result{Text: "DATA: " + err.Error()}
}

// final is the verdict after the last dot.
func (c *smtpConn) final(r reply) Result {
	res := c.result("end of DATA", r)
	if res.Outcome == Delivered {
		res.Text = r.String()
	}
	_, res.DSN = c.ext["DSN"]
	return res
}

// after says whether the connection lives on after that reply.
func (c *smtpConn) after(r reply, err error) error {
	if err == nil && r.code == 421 {
		return &replyError{"DATA", r}
	}
	return err
}

func (c *smtpConn) setAll(results []Result, which []int, r Result) []Result {
	r.Remote = c.name
	for _, i := range which {
		results[i] = r
	}
	return results
}

// data writes the content with CRLF line ends and dots doubled, and the final
// dot, into the buffer. It never writes the final dot after an error.
func (c *smtpConn) data(job *Job) error {
	if _, err := job.Content.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := writeData(c.w, job.Content, job.Size); err != nil {
		return err
	}
	_, err := c.w.WriteString(".\r\n")
	return err
}

// writeData copies size octets as the body of a DATA command. A CR is refused;
// a last line without end gets one.
func writeData(w *bufio.Writer, r io.Reader, size int64) error {
	buf := make([]byte, 32<<10)
	begin := true // of a line
	var n int64
	for {
		k, err := r.Read(buf)
		n += int64(k)
		if bytes.IndexByte(buf[:k], '\r') >= 0 {
			return errBareCR
		}
		for rest := buf[:k]; len(rest) > 0; {
			if begin && rest[0] == '.' {
				if err := w.WriteByte('.'); err != nil {
					return err
				}
			}
			i := bytes.IndexByte(rest, '\n')
			begin = i >= 0
			line := rest
			if begin {
				line = rest[:i]
			}
			if _, err := w.Write(line); err != nil {
				return err
			}
			if !begin {
				break
			}
			if _, err := w.WriteString("\r\n"); err != nil {
				return err
			}
			rest = rest[i+1:]
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if n != size {
		return fmt.Errorf("content has %d octets, not %d", n, size)
	}
	if !begin {
		_, err := w.WriteString("\r\n")
		return err
	}
	return nil
}

// mailCommand is MAIL with the parameters that both the message has and the
// server takes. The error is permanent.
func (c *smtpConn) mailCommand(job *Job) (string, error) {
	var b strings.Builder
	b.WriteString("MAIL FROM:<" + job.Sender.Address + ">")
	if _, ok := c.ext["SIZE"]; ok {
		fmt.Fprintf(&b, " SIZE=%d", job.Size+job.Size/32)
	}
	if _, ok := c.ext["8BITMIME"]; ok {
		b.WriteString(" BODY=8BITMIME")
	}
	if needsUTF8(job) {
		if _, ok := c.ext["SMTPUTF8"]; !ok {
			return "", errors.New("an address is not ASCII, and the server does not offer SMTPUTF8")
		}
		b.WriteString(" SMTPUTF8")
	} else if _, asked := job.Sender.Param("SMTPUTF8"); asked {
		if _, ok := c.ext["SMTPUTF8"]; ok {
			b.WriteString(" SMTPUTF8")
		}
	}
	if _, ok := c.ext["DSN"]; ok {
		addParams(&b, job.Sender, "RET", "ENVID")
	}
	return b.String(), nil
}

func (c *smtpConn) rcptCommand(to spoolfmt.Path) string {
	var b strings.Builder
	b.WriteString("RCPT TO:<" + to.Address + ">")
	if _, ok := c.ext["DSN"]; ok {
		addParams(&b, to, "NOTIFY", "ORCPT")
	}
	return b.String()
}

// addParams hands parameters on as they came; their syntax was checked when the
// envelope was read.
func addParams(b *strings.Builder, p spoolfmt.Path, keywords ...string) {
	for _, k := range keywords {
		if v, ok := p.Param(k); ok && v != "" {
			b.WriteString(" " + k + "=" + v)
		}
	}
}

// needsUTF8 tells whether an address is not ASCII.
func needsUTF8(job *Job) bool {
	for _, a := range append(job.addresses(), job.Sender.Address) {
		for i := range len(a) {
			if a[i] >= 0x80 {
				return true
			}
		}
	}
	return false
}
