package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// A letter is a message that is being submitted.
type letter struct {
	from       *string  // the envelope's sender; nil: see sender
	name       string   // the sender's name, for a From field that is missing
	to         []string // recipients, as typed
	fromHeader bool     // -t: the header's recipients too
	login      bool     // the sender is who runs this, not who the header says
	dotEnds    bool     // a line with a dot alone ends the content
	asIs       bool     // no field is added to the header
	notify     string   // NOTIFY of every recipient
	ret, envid string   // RET and ENVID

	caller caller
}

// A caller is who runs the program. It has to be found out before root becomes
// the spool's owner.
type caller struct {
	uid  int
	name string // an address of this host
}

func whoCalls() caller {
	c := caller{uid: os.Getuid()}
	c.name = "uid-" + strconv.Itoa(c.uid)
	if u, err := user.Current(); err == nil && envelope.CheckAddress(u.Username) == nil {
		c.name = u.Username
	}
	return c
}

// String is the caller in an envelope.
func (c caller) String() string { return fmt.Sprintf("uid %d (%s)", c.uid, c.name) }

// submit feeds the letter whose text is in and returns its id.
func (a *app) submitLetter(ctx context.Context, l *letter, in io.Reader) (string, error) {
	l.caller = whoCalls()
	s, err := a.open(spoolfmt.OpenFeeder)
	if err != nil {
		return "", err
	}
	d, err := s.NewDraft()
	if err != nil {
		return "", errors.Join(feedError(err), s.Close())
	}
	env, err := l.write(d, &cleaner{r: bufio.NewReaderSize(interruptible(ctx, in), 64<<10), dotEnds: l.dotEnds}, a.now())
	if err != nil {
		return "", errors.Join(err, d.Abort(), s.Close())
	}
	if err := d.Commit(env); err != nil {
		return "", errors.Join(feedError(err), s.Close())
	}
	return d.ID(), s.Close()
}

// feedError is what a spool that does not take a message means to who sends it:
// try again later, but where the system says that they never may.
func feedError(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return failf(exNoPerm, "%w; who feeds this spool is in its group", err)
	}
	return failf(exTempFail, "the spool did not take the message: %w", err)
}

// write writes the content and returns the envelope.
func (l *letter) write(d *spoolfmt.Draft, in *cleaner, now time.Time) (*envelope.Envelope, error) {
	h, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	if !l.asIs {
		h.complete(l.caller.name, l.name, now, d.ID())
	}
	sender, recipients, err := l.addressees(h, d)
	if err != nil {
		return nil, err
	}
	for chunk := h.rest; ; {
		if _, err := d.Write(chunk); err != nil {
			return nil, feedError(err)
		}
		if chunk, err = in.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	l.parameters(&sender, recipients, in.eight)
	env, err := envelope.New(sender, recipients)
	if err != nil {
		return nil, failure(exDataErr, err)
	}
	err = errors.Join(env.Set("Received-At", envelope.FormatTime(now)), env.Set("Client-Address", "local"),
		env.Set("X-Submitter", l.caller.String()))
	return env, err
}

// addressees finds sender and recipients and writes the header.
func (l *letter) addressees(h *header, w io.Writer) (sender envelope.Path, to []envelope.Path, err error) {
	for _, arg := range l.to {
		more, err := addresses(arg)
		if err != nil {
			return sender, nil, failure(exNoUser, err)
		}
		to = append(to, more...)
	}
	if l.fromHeader {
		var more []envelope.Path
		if sender, more, err = h.addressees(w, to); err == nil {
			to = more
		}
	} else {
		_, err = w.Write(h.text)
	}
	var bad *envelope.ParseError
	switch {
	case errors.As(err, &bad):
		return sender, nil, failf(exDataErr, "the message's header: %w", err)
	case err != nil:
		return sender, nil, feedError(err)
	case len(to) == 0:
		return sender, nil, usagef("no recipients; name them, or use -t to take them from the header")
	}
	switch {
	case l.from != nil:
		sender.Address = *l.from
	case l.login || !l.fromHeader:
		sender.Address = l.caller.name
	}
	if sender.Address != "" {
		if err := envelope.CheckAddress(sender.Address); err != nil {
			return sender, nil, failf(exUsage, "sender: %w", err)
		}
	}
	return sender, to, nil
}

// parameters sets what SMTP would say of the message.
func (l *letter) parameters(sender *envelope.Path, to []envelope.Path, eight bool) {
	add := func(p *envelope.Path, keyword, value string) {
		if value != "" || keyword == "SMTPUTF8" {
			p.Params = append(p.Params, envelope.Param{Keyword: keyword, Value: value, HasValue: value != ""})
		}
	}
	beyond := func(s string) bool { return strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) }
	utf8 := beyond(sender.Address)
	for i := range to {
		utf8 = utf8 || beyond(to[i].Address)
		add(&to[i], "NOTIFY", l.notify)
	}
	if eight {
		add(sender, "BODY", "8BITMIME")
	}
	add(sender, "RET", l.ret)
	add(sender, "ENVID", l.envid)
	if utf8 {
		add(sender, "SMTPUTF8", "")
	}
}

// addresses reads what was typed for a recipient: an address, or a list of them
// as in a header.
func addresses(arg string) ([]envelope.Path, error) {
	if strings.ContainsFunc(arg, unicode.IsControl) {
		return nil, fmt.Errorf("recipient %q holds a control character", arg)
	}
	if envelope.CheckAddress(arg) == nil {
		return []envelope.Path{{Address: arg}}, nil
	}
	_, to, err := envelope.ReadDropHeader(bufio.NewReader(strings.NewReader("Return-Path: <>\nTo: "+arg+"\n\n")), io.Discard)
	var bad *envelope.ParseError
	if errors.As(err, &bad) {
		err = bad.Err
	}
	if err != nil {
		return nil, fmt.Errorf("recipient %q: %w", arg, err)
	}
	return to, nil
}

// A cleaner turns what programs write into what a content may be: lines end in
// LF, and in nothing else.
type cleaner struct {
	r       *bufio.Reader
	dotEnds bool
	lines   int
	within  bool // a line that is longer than the buffer
	eight   bool // some octet is beyond ASCII
}

// next returns the next line, or the next part of a long one; it is valid until
// the call after it.
func (c *cleaner) next() ([]byte, error) {
	chunk, err := c.r.ReadSlice('\n')
	first := !c.within
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		if chunk[len(chunk)-1] == '\r' { // its LF may follow
			if err := c.r.UnreadByte(); err != nil {
				return nil, err
			}
			chunk = chunk[:len(chunk)-1]
		}
		c.within = true
	case errors.Is(err, io.EOF) && len(chunk) > 0:
		chunk = append(bytes.Clone(chunk), '\n')
		c.within = false
	case errors.Is(err, io.EOF) && c.within:
		c.within = false
		return []byte{'\n'}, nil
	case err != nil:
		return nil, err
	default:
		c.within = false
	}
	if first {
		c.lines++
	}
	if bytes.HasSuffix(chunk, []byte("\r\n")) {
		chunk = append(chunk[:len(chunk)-2], '\n')
	}
	if i := bytes.IndexAny(chunk, "\r\x00"); i >= 0 {
		return nil, failf(exDataErr, "line %d of the message holds %q; a message has neither CR (but before LF) nor NUL", c.lines, chunk[i])
	}
	if first && c.dotEnds && string(chunk) == ".\n" {
		return nil, io.EOF
	}
	for i := 0; !c.eight && i < len(chunk); i++ {
		c.eight = chunk[i] >= 0x80
	}
	return chunk, nil
}

// interruptible makes a wait for input end when the context does.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	if ctx.Done() == nil {
		return r
	}
	pr, pw := io.Pipe()
	go func() {
		_, err := io.Copy(pw, r)
		_ = pw.CloseWithError(err) // never fails
	}()
	context.AfterFunc(ctx, func() { _ = pw.CloseWithError(failf(exTempFail, "interrupted; nothing was sent")) })
	return pr
}
