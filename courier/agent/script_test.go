package agent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/spoolfmt/envelope"
)

// scripted is a server that says what it is told to, line by line: "C: " is
// how the line that it expects begins, and with "$" also ends; "S: " what it says, "WAIT" to say no more.
func scripted(t *testing.T, sessions ...string) *Remote {
	t.Helper()
	return scriptedOn(t, "unix", filepath.Join(t.TempDir(), "s"), sessions...)
}

func scriptedOn(t *testing.T, network, address string, sessions ...string) *Remote {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n, script := range sessions {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(conn)
			for line := range strings.Lines(strings.TrimSpace(script)) {
				line = strings.TrimSpace(line)
				switch {
				case line == "WAIT":
					_, _ = io.Copy(io.Discard, r)
				case strings.HasPrefix(line, "S: "):
					fmt.Fprintf(conn, "%s\r\n", line[3:])
				case strings.HasPrefix(line, "C:"):
					want := strings.TrimPrefix(line[2:], " ")
					got, err := r.ReadString('\n')
					whole := strings.HasSuffix(want, "$") && got == strings.TrimSuffix(want, "$")+"\r\n"
					if err != nil || !whole && !strings.HasPrefix(got, want) {
						t.Errorf("session %d: got %q (%v), want %q", n, got, err, want)
						conn.Close()
						return
					}
				}
			}
			conn.Close()
		}
	}()
	a, err := NewSMTP(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a.Helo = "me.test"
	t.Cleanup(func() { a.Close(); l.Close(); <-done })
	return a
}

func TestSMTPKeptConnectionGone(t *testing.T) {
	const hello = "S: 220 sink.test\nC: EHLO me.test\nS: 250-sink.test\nS: 250 8BITMIME\nC: MAIL FROM:<a@example.com> BODY=8BITMIME\nS: 250 ok\nC: RCPT TO:<b@x.test>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 taken\n"
	a := scripted(t, hello, "S: 421 sink.test too busy\n", hello)
	j := job(t, "x\n", "b@x.test")
	if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Delivered {
		t.Fatalf("%+v %v", r, err)
	}
	// The first one was closed; the second says 421; that is not the message's
	// fault.
	var start *StartError
	if r, err := a.Deliver(t.Context(), j); !errors.As(err, &start) {
		t.Fatalf("%+v %v", r, err)
	}
	if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Delivered {
		t.Fatalf("%+v %v", r, err)
	}
}

// TestSMTPLostAtTheEnd: whether the server has taken it is unknown, so it is
// tried again.
func TestSMTPLostAtTheEnd(t *testing.T) {
	a := scripted(t, "S: 220 sink.test\nC: EHLO me.test\nS: 250 sink.test\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no\nC: DATA\nS: 354 go\nC: x\nC: .\n")
	r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test", "c@x.test"))
	if err != nil || r[0].Outcome != Retry || r[1].Outcome != Failed {
		t.Errorf("%+v %v", r, err)
	}
}

func TestSMTPPipelinedRefusal(t *testing.T) {
	const hello = "S: 220 sink.test\nC: EHLO me.test\nS: 250-sink.test\nS: 250 PIPELINING\nC: MAIL\nC: RCPT\nC: RCPT\nC: DATA\nS: 250 ok\nS: 550 5.1.1 no\nS: 450 4.2.1 later\n"
	for _, end := range []string{"S: 354 go\nC: .\nS: 554 nobody\n", "S: 503 nobody\n"} {
		a := scripted(t, hello+end)
		r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test", "c@x.test"))
		if err != nil || r[0].Outcome != Failed || r[1].Outcome != Retry || !strings.Contains(r[1].Text, "later") {
			t.Errorf("%+v %v", r, err)
		}
	}
}

func TestSMTPBadServers(t *testing.T) {
	for _, script := range []string{
		"", "S: hello\n", "S: 220-a\nS: 221 b\n", "S: 220 " + strings.Repeat("x", 5000) + "\n",
		"S: 554 no mail here\n", "S: 220 a\nC: EHLO\nS: 550 no\nC: HELO\nS: 550 no\n",
		"S: 220-" + strings.Repeat("S: 220-a\n", 200),
	} {
		a := scripted(t, script)
		var start *StartError
		if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); !errors.As(err, &start) {
			t.Errorf("%.40q: %+v %v", script, r, err)
		}
	}
}

func TestSMTPXClient(t *testing.T) {
	a := scripted(t, `
		S: 220 sink.test
		C: EHLO me.test
		S: 250-sink.test
		S: 250 XCLIENT NAME REVERSE_NAME ADDR PROTO HELO
		C: XCLIENT NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 PROTO=ESMTP HELO=a+2Bb
		S: 220 sink.test
		C: EHLO me.test
		S: 250 sink.test
		C: MAIL
		S: 250 ok
		C: RCPT
		S: 250 ok
		C: DATA
		S: 354 go
		C: x
		C: .
		S: 250 taken`)
	a.XClient = true
	j := job(t, "x\n", "b@x.test")
	for name, v := range map[string]string{"Client-Address": "2001:db8::1", "Helo": "a+b", "Protocol": "ESMTPS"} {
		if err := j.Envelope.Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Delivered {
		t.Fatalf("%+v %v", r, err)
	}
}

// TestXClientHelo: after XCLIENT we say hello by the client's name, and a server
// that refuses that name refuses this message, not all mail.
func TestXClientHelo(t *testing.T) {
	for _, c := range []struct {
		say  string
		want Outcome
	}{
		{"S: 250 sink.test\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 taken\n", Delivered},
		{"S: 550 5.7.1 bad name\nC: HELO client.test\nS: 550 5.7.1 bad name\n", Failed},
		{"S: 450 4.7.1 later\n", Retry},
	} {
		a := scripted(t, "S: 220 sink.test\nC: EHLO me.test\nS: 250-sink.test\nS: 250 XCLIENT ADDR HELO\n"+
			"C: XCLIENT ADDR=192.0.2.1 HELO=client.test\nS: 220 sink.test\nC: EHLO client.test\n"+c.say)
		a.XClient = true
		j := job(t, "x\n", "b@x.test")
		for name, v := range map[string]string{"Client-Address": "192.0.2.1", "Helo": "client.test"} {
			if err := j.Envelope.Set(name, v); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != c.want {
			t.Errorf("%q: %+v %v", c.say, r, err)
		}
		a.Close()
	}
}

func TestSMTPStops(t *testing.T) {
	a := scripted(t, "S: 220 sink.test\nC: EHLO me.test\nS: 250 sink.test\nC: MAIL\nWAIT\n")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errTooLong)
	defer cancel()
	begin := time.Now()
	r, err := a.Deliver(ctx, job(t, "x\n", "b@x.test"))
	if err != nil || r[0].Outcome != Retry || !strings.Contains(r[0].Text, errTooLong.Error()) {
		t.Errorf("%+v %v", r, err)
	}
	if time.Since(begin) > 2*time.Second {
		t.Error("took too long")
	}
}

func TestCommandInjection(t *testing.T) {
	var out bytes.Buffer
	c := &smtpConn{w: bufio.NewWriter(&out)}
	for _, line := range []string{"a\r\nb", "a\nb", "a\rb", "a\x00b"} {
		if c.send(line) == nil {
			t.Errorf("%q is sent", line)
		}
	}
}

// ehlo is a server's side of the opening, with these extensions.
func ehlo(extensions ...string) string {
	var b strings.Builder
	b.WriteString("S: 220 sink.test\nC: EHLO me.test\n")
	for _, e := range append([]string{"sink.test"}, extensions...) {
		b.WriteString("S: 250-" + e + "\n")
	}
	return b.String() + "S: 250 HELP\n"
}

// TestSMTPSurprises: whatever a server says, a recipient counts as delivered
// only after a 2yz reply to the content that was sent.
func TestSMTPSurprises(t *testing.T) {
	const to2 = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: RCPT\nS: 250 ok\n"
	for _, c := range []struct {
		name, script string
		want         [2]Outcome
		text         string // in the first result
	}{
		{"MAIL 354", "C: MAIL\nS: 354 what\nC: RSET\nS: 250 ok\n", [2]Outcome{}, "MAIL: 354 what"},
		{"MAIL 550", "C: MAIL\nS: 550 5.7.1 no\nC: RSET\nS: 250 ok\n", [2]Outcome{Failed, Failed}, "5.7.1 no"},
		{"MAIL 421", "C: MAIL\nS: 421 busy\n", [2]Outcome{}, "MAIL: 421 busy"},
		{"RCPT 354", "C: MAIL\nS: 250 ok\nC: RCPT\nS: 354 what\nC: RCPT\nS: 550 no\nC: RSET\nS: 250 ok\n", [2]Outcome{Retry, Failed}, "RCPT: 354 what"},
		{"RCPT 552", "C: MAIL\nS: 250 ok\nC: RCPT\nS: 552 too many\nC: RCPT\nS: 251 forwarded\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\n", [2]Outcome{Retry, Delivered}, "too many"},
		{"RCPT 421", "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 no\nC: RCPT\nS: 421 bye\n", [2]Outcome{Failed, Retry}, "550 no"},
		{"DATA 250", to2 + "C: DATA\nS: 250 taken?\nC: RSET\nS: 250 ok\n", [2]Outcome{}, "DATA: 250 taken?"},
		{"DATA 554", to2 + "C: DATA\nS: 554 5.6.0 no\nC: RSET\nS: 250 ok\n", [2]Outcome{Failed, Failed}, "5.6.0 no"},
		{"end 354", to2 + "C: DATA\nS: 354 go\nC: x\nC: .\nS: 354 again\n", [2]Outcome{}, "end of DATA: 354 again"},
		{"end 421", to2 + "C: DATA\nS: 354 go\nC: x\nC: .\nS: 421 bye\n", [2]Outcome{}, "end of DATA: 421 bye"},
		{"end 550", to2 + "C: DATA\nS: 354 go\nC: x\nC: .\nS: 550 5.7.0 spam\n", [2]Outcome{Failed, Failed}, "5.7.0 spam"},
		{"end garbage", to2 + "C: DATA\nS: 354 go\nC: x\nC: .\nS: fine\n", [2]Outcome{}, "not a reply"},
		{"end lost", to2 + "C: DATA\nS: 354 go\nC: x\nC: .\n", [2]Outcome{}, "end of DATA: EOF"},
		{"end 200", to2 + "C: DATA\nS: 354 go\nC: x\nC: .\nS: 200 fine\n", [2]Outcome{Delivered, Delivered}, "200 fine"},
	} {
		a := scripted(t, ehlo()+c.script)
		r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test", "c@x.test"))
		if err != nil || r[0].Outcome != c.want[0] || r[1].Outcome != c.want[1] || !strings.Contains(r[0].Text, c.text) || r[1].Text == "" {
			t.Errorf("%s: %+v %v", c.name, r, err)
		}
		a.Close()
	}
}

// TestSMTPAfterRefusal: a kept connection has nothing left of a transaction
// that was given up.
func TestSMTPAfterRefusal(t *testing.T) {
	a := scripted(t, ehlo("PIPELINING")+`
		C: MAIL
		C: RCPT
		C: DATA
		S: 250 ok
		S: 550 5.1.1 no
		S: 503 nobody
		C: RSET
		S: 250 ok
		C: MAIL FROM:<a@example.com>
		C: RCPT
		C: DATA
		S: 250 ok
		S: 250 ok
		S: 354 go
		C: x
		C: .
		S: 250 ok
		C: MAIL
		C: RCPT
		C: DATA
		S: 503 nested MAIL
		WAIT`, ehlo("PIPELINING")+"C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nC: x\nC: .\nS: 250 ok\n")
	for i, want := range []Outcome{Failed, Delivered, Delivered} {
		if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); err != nil || r[0].Outcome != want {
			t.Fatalf("message %d: %+v %v", i, r, err)
		}
	}
}

// TestSMTPWindow: never more commands under way than both sides can hold, and
// DATA goes out only when somebody gets it or it was under way already.
func TestSMTPWindow(t *testing.T) {
	var script strings.Builder
	script.WriteString(ehlo("PIPELINING"))
	script.WriteString("C: MAIL\n" + strings.Repeat("C: RCPT\n", maxWindow-1))
	script.WriteString("S: 250 ok\n" + strings.Repeat("S: 550 no\n", maxWindow-1))
	script.WriteString(strings.Repeat("C: RCPT\n", maxWindow) + strings.Repeat("S: 550 no\n", maxWindow))
	script.WriteString("C: RSET\nS: 250 ok\n")
	var to []string
	for i := range 2*maxWindow - 1 {
		to = append(to, fmt.Sprintf("u%d@x.test", i))
	}
	a := scripted(t, script.String())
	r, err := a.Deliver(t.Context(), job(t, "x\n", to...))
	if err != nil || len(r) != len(to) || r[0].Outcome != Failed || r[len(r)-1].Outcome != Failed {
		t.Errorf("%v", err)
	}
}

// TestLMTPNobody: RFC 2033 has 503 for a DATA without a recipient; a server that
// says 354 would answer to its end with no reply at all.
func TestLMTPNobody(t *testing.T) {
	opening := strings.ReplaceAll(ehlo("PIPELINING"), "EHLO", "LHLO")
	a := scripted(t, opening+"C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 550 5.1.1 no\nS: 354 go\nWAIT\n")
	a.LMTP = true
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := a.Deliver(ctx, job(t, "x\n", "b@x.test"))
	if err != nil || r[0].Outcome != Failed || ctx.Err() != nil {
		t.Errorf("%+v %v", r, err)
	}
}

// TestLMTPHalf: the replies stop in the middle.
func TestLMTPHalf(t *testing.T) {
	opening := strings.ReplaceAll(ehlo(), "EHLO", "LHLO")
	a := scripted(t, opening+"C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: RCPT\nS: 550 no\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 got it\n")
	a.LMTP = true
	r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test", "c@x.test", "d@x.test"))
	if err != nil || r[0].Outcome != Delivered || r[1].Outcome != Failed || r[2].Outcome != Retry {
		t.Errorf("%+v %v", r, err)
	}
}

// TestSMTPUTF8 holds what goes to a server that knows nothing of RFC 6531.
func TestSMTPUTF8(t *testing.T) {
	one := func(extensions ...string) string {
		return ehlo(extensions...) + "C: MAIL FROM:<a@example.com>\nS: 250 ok\nC: RCPT TO:<b@x.test>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\n"
	}
	a := scripted(t, one())
	r, err := a.Deliver(t.Context(), job(t, "x\n", "ü@x.test", "b@x.test"))
	if err != nil || r[0].Outcome != Failed || r[0].Status != "5.6.7" || r[1].Outcome != Delivered {
		t.Errorf("%+v %v", r, err)
	}
	utf8 := []envelope.Param{{Keyword: "SMTPUTF8"}}
	for _, c := range []struct {
		script, sender, content string
		want                    Outcome
	}{
		{ehlo(), "ä@example.com", "x\n", Failed},
		{ehlo(), "a@example.com", "Subject: ü\n\nx\n", Failed}, // it says that it needs it, and does
		{one(), "a@example.com", "x\n\nü\n", Delivered},        // it says so, and does not
		{ehlo("SMTPUTF8") + "C: MAIL FROM:<ä@example.com> SMTPUTF8\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\n", "ä@example.com", "x\n", Delivered},
	} {
		script := strings.Replace(c.script, "C: .\n", strings.Repeat("C:\n", strings.Count(c.content, "\n")-1)+"C: .\n", 1)
		a := scripted(t, script)
		j := job(t, c.content, "b@x.test")
		j.Sender = envelope.Path{Address: c.sender, Params: utf8}
		if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != c.want {
			t.Errorf("%s, %q: %+v %v", c.sender, c.content, r, err)
		}
		a.Close()
	}
}

// TestSMTPPlainServer: parameters go only to a server that offers them, an
// 8-bit content goes out as it is, and SIZE is exact where it is asked for.
func TestSMTPPlainServer(t *testing.T) {
	const rest = "S: 250 ok\nC: RCPT TO:<b@x.test>$\nS: 250 ok\nC: RCPT TO:<postmaster>$\nS: 250 ok\nC: RCPT TO:<local@me.test>$\nS: 250 ok\nC: DATA\nS: 354 go\nC: \xfc\xe4\nC: ..\nC: no end\nC: .\nS: 250 ok\n"
	for _, script := range []string{
		ehlo() + "C: MAIL FROM:<root@me.test>$\n" + rest,
		ehlo("SIZE 1000", "8BITMIME") + "C: MAIL FROM:<root@me.test> SIZE=15 BODY=8BITMIME$\n" + rest,
		"S: 220 sink.test\nC: EHLO me.test\nS: 502 what?\nC: HELO me.test\nS: 250 sink.test\nC: MAIL FROM:<root@me.test>$\n" + rest,
	} {
		a := scripted(t, script)
		j := job(t, "\xfc\xe4\n.\nno end", "b@x.test", "postmaster", "local")
		j.Sender = envelope.Path{Address: "root", Params: []envelope.Param{{Keyword: "RET", Value: "FULL", HasValue: true}}}
		j.Recipients[0].Params = []envelope.Param{{Keyword: "NOTIFY", Value: "SUCCESS", HasValue: true}}
		if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Delivered || r[0].DSN {
			t.Errorf("%+v %v", r, err)
		}
		a.Close()
	}
}

// TestXClientRefused: what the server says of the client is about the message;
// a complaint about our words must neither fail the mail nor stop all of it.
func TestXClientRefused(t *testing.T) {
	for _, c := range []struct {
		say  string
		want Outcome
		stop bool // all mail waits
	}{
		{"250 fine", Retry, false}, {"501 bad HELO", Retry, false}, {"550 5.7.1 client refused", Failed, false},
		{"450 4.7.1 later", Retry, false}, {"421 bye", Retry, true},
	} {
		a := scripted(t, ehlo("XCLIENT NAME ADDR PROTO HELO")+"C: XCLIENT\nS: "+c.say+"\n")
		a.XClient = true
		j := job(t, "x\n", "b@x.test")
		if err := j.Envelope.Set("Client-Address", "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		r, err := a.Deliver(t.Context(), j)
		var start *StartError
		if c.stop != errors.As(err, &start) || !c.stop && r[0].Outcome != c.want {
			t.Errorf("%s: %+v %v", c.say, r, err)
		}
		a.Close()
	}
}

func TestXClientWords(t *testing.T) {
	env := job(t, "x\n", "b@x.test").Envelope
	if got := xclient(env); got != "" {
		t.Errorf("a message of no client: %q", got)
	}
	for name, v := range map[string]string{"Client-Address": "192.0.2.1", "Client-Name": "no name", "Helo": "ü x", "Protocol": "SMTP"} {
		if err := env.Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	if got := xclient(env); got != "NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] ADDR=192.0.2.1 PROTO=SMTP HELO=+C3+BC+20x" {
		t.Error(got)
	}
	if err := env.Set("Client-Name", "mail.example.net"); err != nil {
		t.Fatal(err)
	}
	if got := xclient(env); !strings.HasPrefix(got, "NAME=mail.example.net ") {
		t.Error(got)
	}
}

// TestSmallLimit: a server that takes less than we may have accepted is reported,
// once. One without a limit is not.
func TestSmallLimit(t *testing.T) {
	const rest = "C: MAIL\nS: 421 later\n"
	for size, want := range map[string]int{"SIZE 1000": 1, "SIZE 2000": 0, "SIZE 0": 0, "SIZE": 0, "HELP": 0} {
		hello := "S: 220 sink.test\nC: EHLO me.test\nS: 250-sink.test\nS: 250 " + size + "\n" + rest
		a := scripted(t, hello, hello)
		got := 0
		a.MaxSize, a.TooSmall = 2000, func(limit int64) {
			got++
			if limit != 1000 {
				t.Errorf("limit %d", limit)
			}
		}
		for range 2 {
			_, _ = a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
		}
		if got != want {
			t.Errorf("%s: reported %d times, want %d", size, got, want)
		}
	}
}
