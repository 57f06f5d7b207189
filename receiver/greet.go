package receiver

import (
	"errors"
	"strconv"
)

// maxHeloName is the longest name in HELO and EHLO: RFC 5321 4.5.3.1.2.
const maxHeloName = 255

// hello takes a client's name, which may be odd: nothing depends on it. The
// transaction, if there is one, is over.
func (s *session) hello(name string) bool {
	if name == "" || len(name) > maxHeloName || !ascii(name) {
		return false
	}
	s.reset()
	s.phase, s.heloName = Greeted, name
	return true
}

func (s *session) helo(name string) Reply {
	if !s.hello(name) {
		return replyHeloName
	}
	s.esmtp = false
	return replyHelo(name)
}

func (s *session) ehlo(name string) Reply {
	if !s.hello(name) {
		return replyHeloName
	}
	s.esmtp = true
	r := replyEhlo(s.Hostname)
	offer := func(keyword string, on bool) {
		if on {
			r.More = append(r.More, keyword)
		}
	}
	offer("8BITMIME", true)
	offer("PIPELINING", true)
	offer("CHUNKING", s.loose == nil)
	offer("ENHANCEDSTATUSCODES", true)
	offer("SIZE", s.MaxBytes == 0)
	offer("SIZE "+strconv.FormatInt(s.MaxBytes, 10), s.MaxBytes > 0)
	offer("LIMITS RCPTMAX="+strconv.Itoa(s.maxRecipients()), true)
	offer("DSN", s.OfferDSN)
	offer("SMTPUTF8", s.OfferUTF8)
	offer("STARTTLS", s.StartTLS != nil && s.tls == nil)
	return r
}

// startTLS switches to TLS (RFC 3207). What the client sent after the command,
// and before the switch, is from nobody knows whom.
func (s *session) startTLS(string) Reply {
	switch {
	case s.tls != nil:
		return replyTLSTwice
	case s.StartTLS == nil:
		return replyNoTLS
	case s.in.waiting():
		s.alarm(eventBehindSTARTTLS)
		return replyInjected
	}
	s.reset()
	s.say(replyStartTLS)
	err := errors.Join(s.await(), s.flush())
	var conn Conn
	var with TLS
	if err == nil {
		conn, with, err = s.StartTLS(s.conn)
	}
	if err != nil {
		s.log.Info(eventTLS, "error", err)
		return replyTLSFailed(s.Hostname)
	}
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	s.in.conn = conn
	if s.loose != nil {
		s.loose = &lenient{Conn: conn, commands: s.loose.commands}
		s.in.conn = s.loose
	}
	s.tls, s.phase, s.esmtp, s.heloName = &with, Connected, false, ""
	s.log.Info(eventTLS, "version", with.Version, "cipher", with.Cipher)
	return Reply{}
}

// protocol is the keyword of RFC 3848 and 6531 for Received and the envelope.
func (s *session) protocol() string {
	if !s.esmtp {
		return "SMTP"
	}
	p := "ESMTP"
	if s.utf8 {
		p = "UTF8SMTP"
	}
	if s.tls != nil {
		p += "S"
	}
	return p
}
