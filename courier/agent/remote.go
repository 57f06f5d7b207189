package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"smap/spoolfmt/envelope"
)

// TLSMode says how a connection is protected.
type TLSMode int

// The modes. May uses STARTTLS where it is offered, without verification: that is
// better than nothing and no more. Where TLS fails, it goes on in plaintext. Verify
// insists on STARTTLS and on a valid certificate; Implicit on TLS from the first
// octet.
const (
	TLSMay TLSMode = iota
	TLSNone
	TLSVerify
	TLSImplicit
)

// A Remote is a server that takes mail: the smtp and lmtp agents. Make it with
// NewSMTP or NewLMTP, then set what is needed before the first delivery.
type Remote struct {
	LMTP bool
	TLS  TLSMode
	// Roots are the authorities that Verify and Implicit accept; nil is the
	// system's.
	Roots *x509.CertPool
	// Certificates are what the client shows to a server that asks for one.
	Certificates []tls.Certificate
	// User and Password are for AUTH, which is used if User is not empty. With Token,
	// AUTH is XOAUTH2, and Token returns the access token.
	User, Password string
	Token          func(context.Context) (string, error)
	// Proxy begins each connection with a header of the PROXY protocol that names
	// the client that the mail came from. The server has to expect it.
	Proxy bool
	// XClient tells the server about the client that the mail came from, with
	// Postfix's XCLIENT. The server has to allow it.
	XClient bool
	// Helo is our name; default the host's.
	Helo string
	// MaxSize is how many octets a message can have that comes to us; 0 is
	// unknown. TooSmall is called once if the server announces a smaller limit.
	MaxSize  int64
	TooSmall func(limit int64)

	servers []server // tried in order
	limits  limits

	mu     sync.Mutex
	idle   []*smtpConn
	timing bool // expire will be called
	done   bool

	sized sync.Once // the server's limit was compared
}

const (
	maxIdle  = 16
	idleTime = 20 * time.Second
	connLife = 10 * time.Minute
)

// NewSMTP returns an agent for an SMTP server: "host", "host:port",
// "[2001:db8::1]:port" or the path of a unix socket. The port's default is 25. Of
// several addresses, separated by commas, the first that can be reached is used.
func NewSMTP(addresses string) (*Remote, error) { return newRemote(addresses, "25") }

func newRemote(addresses, port string) (*Remote, error) {
	r := &Remote{Helo: "localhost", limits: standardLimits()}
	if name, err := os.Hostname(); err == nil && name != "" && !strings.ContainsAny(name, " \r\n") {
		r.Helo = name
	}
	var err error
	r.servers, err = parseServers(addresses, port)
	return r, err
}

// Keys returns what may hang together: the mail for a domain or, with LMTP, for one
// mailbox; and with Proxy the mail from one client, which the server may keep waiting.
func (o *Remote) Keys(to, client string) Keys {
	k := Keys{To: strings.ToLower(to)}
	if !o.LMTP {
		_, k.To = envelope.SplitAddress(k.To)
	}
	if o.Proxy {
		k.Client = clientKey(client)
	}
	return k
}

// MaxRecipients returns 0.
func (o *Remote) MaxRecipients() int { return 0 }

// Deliver sends the message over a connection that is kept from an earlier one,
// or over a new one.
func (o *Remote) Deliver(ctx context.Context, job *Job) ([]Result, error) {
	var from client
	if o.XClient {
		from.xclient = xclient(job.Envelope)
	}
	if o.Proxy {
		from.address = job.Envelope.Get("Client-Address")
	}
	for {
		c, err := o.get(ctx, from)
		if err != nil {
			if context.Cause(ctx) != nil {
				return job.Same(Result{Text: context.Cause(ctx).Error()}), nil
			}
			var own *clientError
			if errors.As(err, &own) {
				return job.Same(own.result), nil
			}
			return nil, &StartError{Agent: o.Name(), Err: err}
		}
		results, err := o.deliver(ctx, c, from.xclient, job)
		if errors.Is(err, errStale) {
			continue // a kept one each time, until there is none
		}
		var start *StartError
		if errors.As(err, &start) {
			return nil, err
		}
		return results, nil
	}
}

// deliver uses one connection and keeps or closes it. It returns an error only
// when nothing was attempted.
func (o *Remote) deliver(ctx context.Context, c *smtpConn, client string, job *Job) ([]Result, error) {
	conn := c.conn
	c.raw.begin(o.limits.whole(job.Size))
	stop := context.AfterFunc(ctx, c.raw.interrupt)
	defer stop()
	if client != c.client {
		if err := c.introduce(ctx, client, o.heloFor(job.Envelope)); err != nil {
			return o.notIntroduced(c, job, err)
		}
	}
	results, err := c.transact(job)
	if errors.Is(err, errStale) {
		_ = c.conn.Close() // the other side has closed it
		return nil, errStale
	}
	c.used++
	why := err
	if cause := context.Cause(ctx); cause != nil {
		why = fmt.Errorf("interrupted: %w", cause)
	}
	for i := range results {
		if results[i].Text == "" {
			results[i] = Result{Text: fmt.Sprint(why), Remote: c.name}
		}
	}
	if err != nil || !stop() {
		// No QUIT: the server may be in the middle of a content.
		_ = conn.Close()
		return results, nil
	}
	o.put(c)
	return results, nil
}

// notIntroduced is the result of an XCLIENT that fails. If the server refuses the
// client, it refuses the message. If it refuses our syntax, hangs up or falls silent, the
// message is tried again, and other mail goes on.
func (o *Remote) notIntroduced(c *smtpConn, job *Job, err error) ([]Result, error) {
	c.quit()
	var refused *replyError
	if errors.As(err, &refused) && refused.command == "XCLIENT" && refused.reply.code != 421 {
		r := c.refusal("XCLIENT", refused.reply)
		if refused.reply.code/10 == 50 { // syntax
			r.Outcome = Retry
		}
		return job.Same(r), nil
	}
	if c.used > 0 {
		return nil, errStale
	}
	if turnedAway(err) {
		return job.Same(turnAway(err)), nil
	}
	return nil, &StartError{Agent: o.Name(), Err: err}
}

// A client is what a server is told of where a message came from.
type client struct {
	xclient string // XCLIENT's attributes; they can change during a connection
	address string // for the PROXY protocol: a connection has one
}

// get returns a kept connection that fits, or a new one.
func (o *Remote) get(ctx context.Context, from client) (*smtpConn, error) {
	now := time.Now()
	o.mu.Lock()
	for i := len(o.idle) - 1; i >= 0; i-- {
		c := o.idle[i]
		if now.Sub(c.idle) > idleTime || now.Sub(c.born) > connLife || from.xclient == "" && c.client != "" || from.address != c.from {
			continue
		}
		o.idle = append(o.idle[:i], o.idle[i+1:]...)
		o.mu.Unlock()
		return c, nil
	}
	o.mu.Unlock()
	return o.connect(ctx, from.address)
}

// put keeps a connection for a while.
func (o *Remote) put(c *smtpConn) {
	c.idle = time.Now()
	o.mu.Lock()
	keep := !o.done && len(o.idle) < maxIdle
	if keep {
		o.idle = append(o.idle, c)
		if !o.timing {
			o.timing = true
			time.AfterFunc(idleTime, o.expire)
		}
	}
	o.mu.Unlock()
	if !keep {
		c.quit()
	}
}

// expire closes the connections that nobody has used for a while.
func (o *Remote) expire() {
	now := time.Now()
	o.mu.Lock()
	var old, young []*smtpConn
	for _, c := range o.idle {
		if now.Sub(c.idle) >= idleTime || now.Sub(c.born) > connLife {
			old = append(old, c)
		} else {
			young = append(young, c)
		}
	}
	o.idle = young
	if o.timing = len(young) > 0; o.timing {
		time.AfterFunc(idleTime, o.expire)
	}
	o.mu.Unlock()
	for _, c := range old {
		c.quit()
	}
}

// Close ends the kept connections. Deliveries that run end theirs themselves.
func (o *Remote) Close() error {
	o.mu.Lock()
	idle := o.idle
	o.idle, o.done = nil, true
	o.mu.Unlock()
	for _, c := range idle {
		c.quit()
	}
	return nil
}
