package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// The client here speaks to a server that the administrator chose, in SMTP or
// LMTP. It sends the commands of a transaction at once if the server allows that
// (RFC 2920), and passes parameters on as they came.

const (
	dialTimeout  = 30 * time.Second
	maxReplyLine = 2048
	maxReply     = 100 // lines
)

// A reply is what a server says to a command.
type reply struct {
	code int
	text string // the lines, joined by a space
	keys []string
}

// status is the enhanced status code of RFC 2034, or the class alone.
func (r reply) status() string {
	first, _, _ := strings.Cut(r.text, " ")
	class, rest, ok := strings.Cut(first, ".")
	if ok && class == fmt.Sprint(r.code/100) && strings.Trim(rest, "0123456789.") == "" && strings.Count(rest, ".") == 1 {
		return first
	}
	return fmt.Sprintf("%d.0.0", r.code/100)
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.code, r.text) }

// A replyError is a reply that ends what was tried.
type replyError struct {
	command string
	reply   reply
}

func (e *replyError) Error() string { return e.command + ": " + e.reply.String() }

// A smtpConn is a connection that has passed its greeting.
type smtpConn struct {
	conn     net.Conn
	raw      *limitedConn // below TLS
	server   server
	from     string // the client that the PROXY header names
	r        *bufio.Reader
	w        *bufio.Writer
	opt      *Remote
	tls      TLSMode
	ext      map[string]string // extensions, upper case
	verified bool              // TLS with a certificate that was checked
	client   string            // the attributes of the last XCLIENT
	used     int               // messages
	born     time.Time         // for a bound on its life
	idle     time.Time
	name     string // what the server calls itself
}

// A handshakeError is a TLS handshake that failed. The connection is of no use
// any more.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS: " + e.err.Error() }

// Unwrap returns the reason.
func (e *handshakeError) Unwrap() error { return e.err }

// connect opens a connection to the first server that can be reached. Its errors
// mean that the agent cannot be reached.
func (o *Remote) connect(ctx context.Context, from string) (*smtpConn, error) {
	var errs []error
	for _, s := range o.servers {
		c, err := o.dial(ctx, s, from, o.TLS)
		var broken *handshakeError
		if o.TLS == TLSMay && errors.As(err, &broken) && context.Cause(ctx) == nil {
			// TLSMay protects where it can, and never stops mail.
			c, err = o.dial(ctx, s, from, TLSNone)
		}
		if err == nil {
			return c, nil
		}
		if len(o.servers) > 1 {
			err = fmt.Errorf("%s: %w", s.address, err)
		}
		errs = append(errs, err)
		if context.Cause(ctx) != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// dial connects, and goes through greeting, EHLO, TLS and AUTH.
func (o *Remote) dial(ctx context.Context, s server, from string, mode TLSMode) (*smtpConn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, s.network, s.address)
	if err != nil {
		return nil, err
	}
	if t, ok := conn.(*net.TCPConn); ok {
		// Octets that wait in the kernel are no progress: see limits.
		_ = t.SetWriteBuffer(writeBuffer) // else there is less to see
	}
	c := &smtpConn{opt: o, tls: mode, server: s, from: from, born: time.Now()}
	c.use(conn)
	c.raw.begin(o.limits.open)
	stop := context.AfterFunc(ctx, c.raw.interrupt)
	defer stop()
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(err, ignoreClosed(c.conn.Close()))
	}
	if !stop() {
		return nil, errors.Join(ctx.Err(), ignoreClosed(c.conn.Close()))
	}
	return c, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// use speaks through a connection: the first time the network's own, then TLS on it.
func (c *smtpConn) use(conn net.Conn) {
	if c.raw == nil {
		c.raw = &limitedConn{Conn: conn, block: c.opt.limits.block}
		conn = c.raw
	}
	c.conn = conn
	c.r = bufio.NewReaderSize(conn, maxReplyLine)
	c.w = bufio.NewWriterSize(conn, 16<<10)
}

func (c *smtpConn) open(ctx context.Context) error {
	if c.opt.Proxy {
		c.raw.limit(c.opt.limits.command)
		if _, err := c.raw.Write(proxyHeader(c.from, c.raw.RemoteAddr())); err != nil {
			return fmt.Errorf("PROXY header: %w", err)
		}
	}
	if c.tls == TLSImplicit {
		if err := c.handshake(ctx); err != nil {
			return c.ofClient(err)
		}
	}
	if err := c.greeted(); err != nil {
		return c.ofClient(err)
	}
	_, offered := c.ext["STARTTLS"]
	switch c.tls {
	case TLSVerify:
		if !offered {
			return errors.New("the server does not offer STARTTLS")
		}
	case TLSMay:
		offered = offered && c.server.network != "unix"
	default:
		offered = false
	}
	if offered {
		if err := c.startTLS(ctx); err != nil {
			return err
		}
	}
	c.opt.sized.Do(c.compareSize)
	return c.login(ctx)
}

// compareSize reports a server that takes less than we may have promised (RFC
// 1870; 0 is no limit).
func (c *smtpConn) compareSize() {
	limit, err := strconv.ParseInt(c.ext["SIZE"], 10, 64)
	if err == nil && limit > 0 && limit < c.opt.MaxSize && c.opt.TooSmall != nil {
		c.opt.TooSmall(limit)
	}
}

// startTLS protects the connection. What came before it does not count any more.
func (c *smtpConn) startTLS(ctx context.Context) error {
	r, err := c.command("STARTTLS")
	if err != nil {
		return err
	}
	if r.code != 220 {
		if c.tls == TLSMay && r.code != 421 {
			return nil // it cannot now; RFC 3207 lets us go on
		}
		return &replyError{"STARTTLS", r}
	}
	if c.r.Buffered() > 0 {
		return errors.New("the server sent something between STARTTLS and TLS")
	}
	if err := c.handshake(ctx); err != nil {
		return err
	}
	return c.hello(c.opt.Helo)
}

func (c *smtpConn) handshake(ctx context.Context) error {
	t := tls.Client(c.conn, c.opt.tlsConfig(c.server))
	c.raw.limit(c.opt.limits.command)
	if err := t.HandshakeContext(ctx); err != nil {
		return &handshakeError{err}
	}
	c.use(t)
	c.verified = c.tls == TLSVerify || c.tls == TLSImplicit
	return nil
}

// greeted reads the greeting and says hello.
func (c *smtpConn) greeted() error {
	r, err := c.read(c.opt.limits.greeting)
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if r.code != 220 {
		return &replyError{"greeting", r}
	}
	c.name, _, _ = strings.Cut(r.text, " ")
	return c.hello(c.opt.Helo)
}

func (c *smtpConn) hello(name string) error {
	verb := "EHLO "
	if c.opt.LMTP {
		verb = "LHLO "
	}
	r, err := c.command(verb + name)
	if err == nil && r.code/100 == 5 && !c.opt.LMTP {
		r, err = c.command("HELO " + name)
		r.keys = nil
	}
	if err != nil {
		return err
	}
	if r.code != 250 {
		return &replyError{verb, r}
	}
	c.ext = make(map[string]string)
	for i, line := range r.keys {
		if key, param, _ := strings.Cut(line, " "); i > 0 {
			c.ext[strings.ToUpper(key)] = param
		}
	}
	return nil
}

// send writes one command line. It refuses what could end a line early, although that
// was checked before.
func (c *smtpConn) send(line string) error {
	if strings.ContainsAny(line, "\r\n\x00") {
		return fmt.Errorf("command %q holds a line end", line)
	}
	if _, err := c.w.WriteString(line); err != nil {
		return err
	}
	_, err := c.w.WriteString("\r\n")
	return err
}

func (c *smtpConn) command(line string) (reply, error) {
	if err := c.send(line); err != nil {
		return reply{}, err
	}
	return c.flushAndRead()
}

func (c *smtpConn) flushAndRead() (reply, error) {
	c.raw.limit(c.opt.limits.command)
	if err := c.w.Flush(); err != nil {
		return reply{}, err
	}
	return c.read(c.opt.limits.command)
}

func (c *smtpConn) expect(code int, line string) (reply, error) {
	r, err := c.command(line)
	if err == nil && r.code != code {
		verb, _, _ := strings.Cut(line, " ")
		err = &replyError{verb, r}
	}
	return r, err
}

// read reads one reply, which is bounded in every way: it has to be whole in time.
func (c *smtpConn) read(within time.Duration) (reply, error) {
	c.raw.limit(within)
	var r reply
	for n := 0; n < maxReply; n++ {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return r, err
		}
		s := strings.TrimRight(string(line), "\r\n")
		if len(s) < 3 || strings.Trim(s[:3], "0123456789") != "" || len(s) > 3 && s[3] != ' ' && s[3] != '-' {
			return r, fmt.Errorf("not a reply: %.80q", s)
		}
		code := int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
		if n > 0 && code != r.code {
			return r, fmt.Errorf("reply changes its code: %.80q", s)
		}
		r.code = code
		if len(s) > 4 {
			r.keys = append(r.keys, s[4:])
		} else {
			r.keys = append(r.keys, "")
		}
		if len(s) == 3 || s[3] == ' ' {
			r.text = strings.Join(r.keys, " ")
			return r, nil
		}
	}
	return r, errors.New("the reply has too many lines")
}

func (c *smtpConn) sendAll(commands []string) error {
	for _, line := range commands {
		if err := c.send(line); err != nil {
			return err
		}
	}
	c.raw.limit(c.opt.limits.command)
	return c.w.Flush()
}

// quit ends the connection politely without waiting for the answer.
func (c *smtpConn) quit() {
	c.raw.begin(time.Second)
	c.raw.limit(time.Second)
	if c.send("QUIT") == nil {
		_ = c.w.Flush() // it is going away in any case
	}
	_ = c.conn.Close()
}
