package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"smap/spoolfmt/envelope"
)

// maxXClient bounds a name in XCLIENT: a command line has a limit.
const maxXClient = 255

// xclient returns the attributes for XCLIENT, empty for a message that did not come
// from a client.
func xclient(env *envelope.Envelope) string {
	ip, err := netip.ParseAddr(env.Get("Client-Address"))
	if err != nil {
		return ""
	}
	addr := ip.Unmap().String()
	if ip.Unmap().Is6() {
		addr = "IPV6:" + addr
	}
	name := env.Get("Client-Name")
	if len(name) > maxXClient || strings.EqualFold(name, "unknown") || envelope.CheckAddress("x@"+name) != nil {
		name = "[UNAVAILABLE]"
	}
	proto := "ESMTP"
	if env.Get("Protocol") == "SMTP" {
		proto = "SMTP"
	}
	helo := env.Get("Helo")
	if helo == "" || len(helo) > maxXClient {
		helo = "[UNAVAILABLE]"
	}
	// Client-Name is a name that was verified in both directions.
	return "NAME=" + xtext(name) + " REVERSE_NAME=" + xtext(name) + " ADDR=" + xtext(addr) + " PROTO=" + proto + " HELO=" + xtext(helo)
}

// xtext encodes a value as RFC 3461 section 4 has it.
func xtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '+' && c != '=' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "+%02X", c)
		}
	}
	return b.String()
}

// heloFor is the name to say hello with after XCLIENT: the client's own, if it
// is one. Postfix takes that and not the HELO attribute for the client's.
func (o *Remote) heloFor(env *envelope.Envelope) string {
	if helo := env.Get("Helo"); envelope.CheckAddress("x@"+helo) == nil {
		return helo
	}
	return o.Helo
}

// introduce tells the server which client the next message came from.
func (c *smtpConn) introduce(ctx context.Context, client, helo string) error {
	offered, ok := c.ext["XCLIENT"]
	if !ok {
		return errors.New("the server does not offer XCLIENT to us")
	}
	var say []string
	for _, attr := range strings.Fields(client) {
		key, _, _ := strings.Cut(attr, "=")
		for _, o := range strings.Fields(offered) {
			if strings.EqualFold(o, key) {
				say = append(say, attr)
			}
		}
	}
	r, err := c.command("XCLIENT " + strings.Join(say, " "))
	if err != nil {
		return err
	}
	if r.code != 220 {
		return &replyError{"XCLIENT", r}
	}
	c.client = client
	err = c.hello(helo)
	var refused *replyError
	if errors.As(err, &refused) {
		return &replyError{"XCLIENT", refused.reply} // the client's name is refused, not ours
	}
	if err != nil {
		return err
	}
	return c.login(ctx)
}
