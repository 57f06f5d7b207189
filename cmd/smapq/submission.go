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
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"smap/internal/sysexits"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// A submission is a message that is being submitted.
type submission struct {
	from       *string  // the envelope's sender; nil: see sender
	name       string   // the sender's name, for a From field that is missing
	to         []string // recipients, as typed
	fromHeader bool     // -t: the header's recipients too
	login      bool     // the sender is who runs this, not who the header says
	dotEnds    bool     // a line with a dot alone ends the content
	asIs       bool     // no field is added to the header
	notify     string   // NOTIFY of every recipient
	ret, envid string   // RET and ENVID

	caller  caller
	aliases aliases
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

// feed puts the message that in holds into the spool and returns its id.
func (a *app) feed(ctx context.Context, l *submission, in io.Reader) (string, error) {
	l.caller = whoCalls()
	var err error
	if l.aliases, err = readAliases(a.aliases); err != nil {
		return "", unreadable(err)
	}
	s, err := a.feeder()
	if err != nil {
		return "", err
	}
	d, err := s.NewDraft()
	if errors.Is(err, os.ErrPermission) {
		err = mayFeed(filepath.Dir(s.Path(spoolfmt.Tmp)))
	} else if err != nil {
		err = feedError(err)
	}
	if err != nil {
		return "", errors.Join(err, s.Close())
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

// feedError is what a spool that does not take a message means to its sender: try
// again later.
func feedError(err error) error {
	return failf(sysexits.TempFail, "the message was not put into the spool: %w", err)
}

// write writes the content and returns the envelope.
func (l *submission) write(d *spoolfmt.Draft, in *cleaner, now time.Time) (*envelope.Envelope, error) {
	h, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	if !l.asIs {
		h.complete(l.caller.name, l.name, l.caller.uid, now, d.ID())
	}
	var head bytes.Buffer
	sender, recipients, err := l.addressees(h, &head)
	if err != nil {
		return nil, err
	}
	text := head.String()
	if !l.asIs {
		text = qualify(text)
	}
	if _, err := d.Write([]byte(text)); err != nil {
		return nil, feedError(err)
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
	recipients = l.aliases.apply(recipients)
	l.parameters(&sender, recipients, in.eight)
	env, err := envelope.New(sender, recipients)
	if err != nil {
		return nil, failure(sysexits.DataErr, err)
	}
	err = errors.Join(env.Set("Received-At", envelope.FormatTime(now)), env.Set("Client-Address", "local"),
		env.Set("X-Submitter", l.caller.String()))
	return env, err
}

// addressees finds sender and recipients and writes the header.
func (l *submission) addressees(h *header, w io.Writer) (sender envelope.Path, to []envelope.Path, err error) {
	for _, arg := range l.to {
		more, err := addresses(arg)
		if err != nil {
			return sender, nil, failure(sysexits.NoUser, err)
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
		return sender, nil, failf(sysexits.DataErr, "the message's header: %w", err)
	case err != nil:
		return sender, nil, err
	case len(to) == 0:
		return sender, nil, usagef("no recipients: name them, or use -t to take them from the header")
	}
	switch {
	case l.from != nil:
		sender.Address = complete(*l.from)
	case l.login || !l.fromHeader:
		sender.Address = complete(l.caller.name)
	}
	if sender.Address != "" {
		if err := envelope.CheckAddress(sender.Address); err != nil {
			return sender, nil, failf(sysexits.Usage, "sender: %w", err)
		}
	}
	return sender, to, nil
}

// parameters sets what SMTP would say of the message.
func (l *submission) parameters(sender *envelope.Path, to []envelope.Path, eight bool) {
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
	list, err := envelope.ParseAddressList(arg)
	if err == nil && len(list) == 0 {
		err = errors.New("no address")
	}
	if err != nil {
		return nil, fmt.Errorf("recipient %q: %w", arg, err)
	}
	var to []envelope.Path
	for _, address := range list {
		to = append(to, envelope.Path{Address: address})
	}
	return to, nil
}
