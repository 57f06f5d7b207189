package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"smap/receiver"
	"smap/spoolfmt/envelope"
)

// withValue are sendmail's options that take a value, joined or as the next
// argument. Those that nothing here heeds are read all the same, so that their
// value is not taken for a recipient.
const withValue = "ABCDFLNOpRVXbefhorqdM"

// joined are those whose value can only be joined to them.
const joined = "qd"

// sendmailMode is what -b asks for.
type sendmailMode byte

// sendmail is what programs expect of the command of that name. See smapq(1)
// for the options.
func (a *app) sendmail(ctx context.Context, args []string) error {
	l := submission{dotEnds: true, login: true}
	mode := sendmailMode('m')
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			args = args[1:]
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			l.to = append(l.to, arg)
			args = args[1:]
			continue
		}
		var err error
		if args, err = l.option(args, &mode); err != nil {
			return err
		}
	}
	l.to = append(l.to, args...)
	switch mode {
	case 'm':
		return a.sendmailSubmit(ctx, &l)
	case 's':
		return a.sendmailSMTP(ctx)
	case 'p':
		return a.mailq(ctx)
	case 'i', 'q', 'h', 'H': // aliases, the queue's run, the status of hosts: the mail server behind the spool has them
		return nil
	}
	return usagef("-b%c does not work here: this sendmail only takes mail; smap serves SMTP, smapd delivers", mode)
}

// option takes one argument that begins with "-" and returns those after it.
// Flags can be joined, as in -ti.
func (l *submission) option(args []string, mode *sendmailMode) ([]string, error) {
	arg := args[0]
	args = args[1:]
	for i := 1; i < len(arg); i++ {
		c := arg[i]
		if strings.IndexByte(withValue, c) < 0 {
			switch c {
			case 't':
				l.fromHeader = true
			case 'i':
				l.dotEnds = false
			}
			continue // -n, -v, -m, -G, -U and their like: nothing to do
		}
		value := arg[i+1:]
		if value == "" && strings.IndexByte(joined, c) < 0 {
			if len(args) == 0 {
				return nil, usagef("-%c needs a value", c)
			}
			value, args = args[0], args[1:]
		}
		return args, l.setOption(c, value, mode)
	}
	return args, nil
}

// setOption heeds an option with a value.
func (l *submission) setOption(c byte, value string, mode *sendmailMode) error {
	switch c {
	case 'f', 'r':
		l.setFrom(value)
	case 'F':
		l.name = value
	case 'o':
		l.dotEnds = l.dotEnds && !strings.HasPrefix(value, "i")
	case 'O':
		if name, set, _ := strings.Cut(value, "="); strings.EqualFold(name, "IgnoreDots") && !strings.EqualFold(set, "false") {
			l.dotEnds = false
		}
	case 'b':
		if value == "" {
			return usagef("-b needs m, s, p or i joined to it")
		}
		*mode = sendmailMode(value[0])
	case 'q':
		if *mode == 'm' {
			*mode = 'q'
		}
	case 'N':
		l.notify = strings.ToUpper(value)
		p := []envelope.Param{{Keyword: "NOTIFY", Value: l.notify, HasValue: true}}
		if envelope.CheckRecipientParams(p) != nil {
			return usagef("-N %s: expected NEVER, or a list of SUCCESS, FAILURE, DELAY", value)
		}
	case 'R':
		l.ret = strings.ToUpper(value)
		p := []envelope.Param{{Keyword: "RET", Value: l.ret, HasValue: true}}
		if envelope.CheckSenderParams(p) != nil {
			return usagef("-R %s: expected FULL or HDRS", value)
		}
	case 'V':
		l.envid = value
		p := []envelope.Param{{Keyword: "ENVID", Value: value, HasValue: true}}
		if envelope.CheckSenderParams(p) != nil {
			return usagef("-V %q is not xtext of 1 to 100 octets (RFC 3461)", value)
		}
	}
	return nil
}

func (a *app) sendmailSubmit(ctx context.Context, l *submission) error {
	if len(l.to) == 0 && !l.fromHeader {
		return usagef("no recipients: name them, or use -t to take them from the header")
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	_, err := a.feed(ctx, l, a.in)
	return err
}

// pipe is standard input and output as a client's connection. Programs on this
// machine, and people at a terminal, may end lines in LF alone.
type pipe struct {
	in   io.Reader
	out  *os.File
	last byte
	due  bool // the LF of a line end of which only CR had room
}

func (p *pipe) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if p.due {
		b[0], p.due = '\n', false
		return 1, nil
	}
	raw := make([]byte, max(len(b)/2, 1)) // each octet may become two
	n, err := p.in.Read(raw)
	out := b[:0]
	for _, c := range raw[:n] {
		if c == '\n' && p.last != '\r' {
			out = append(out, '\r')
		}
		p.last = c
		if len(out) == len(b) {
			p.due = true
			break
		}
		out = append(out, c)
	}
	return len(out), err
}

func (p *pipe) Write(b []byte) (int, error)      { return p.out.Write(b) }
func (p *pipe) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (p *pipe) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// smtpErrors is how many bad commands a program may send in -bs.
const smtpErrors = 100

// sendmailSMTP speaks SMTP on standard input and output with a local program,
// which may send to anyone.
func (a *app) sendmailSMTP(ctx context.Context) error {
	s, err := a.feeder()
	if err != nil {
		return err
	}
	config := receiver.Config{
		Hostname: hostName(), Spool: receiver.FromSpool(s), Log: slog.New(slog.DiscardHandler), Now: a.now,
		MaxRecip: envelope.MaxRecipients, MaxErrors: smtpErrors,
		OfferDSN: true, OfferUTF8: true,
		Local: func(string) bool { return true },
	}
	receiver.Serve(ctx, config, receiver.Client{Relay: true}, &pipe{in: a.in, out: os.Stdout})
	return errors.Join(s.Close())
}
