//go:build system

package interop

import (
	"fmt"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// both runs what a client does without and with TLS, in this order.
func both(send func(secure bool, name string)) {
	send(false, "plain")
	send(true, "secure")
}

// smtplibPeer: one connection for three messages, with what EHLO offers; then BDAT in three chunks by hand, and an
// address that is not ASCII.
const smtplibPeer = `
import smtplib, ssl, sys
port, name, ca, sender, file = sys.argv[1:]
text = open(file, "rb").read()
with smtplib.SMTP("127.0.0.1", int(port), local_hostname="client.test") as smtp:
    if name == "secure":
        smtp.starttls(context=ssl.create_default_context(cafile=ca))
        assert not smtp.has_extn("starttls")
    refused = smtp.sendmail(sender, ["smtplib-" + name + "@system.test", "nobody@elsewhere.test"], text,
        mail_options=["BODY=8BITMIME", "RET=HDRS", "ENVID=QQ314159"],
        rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Bob@Example.COM"])
    assert list(refused) == ["nobody@elsewhere.test"] and refused["nobody@elsewhere.test"][0] == 550, refused

    assert smtp.mail(sender)[0] == 250
    assert smtp.rcpt("smtplib-bdat-" + name + "@system.test")[0] == 250
    third = len(text) // 3
    for chunk, last in ((text[:third], ""), (text[third:2*third], ""), (b"", ""), (text[2*third:], " LAST")):
        smtp.send(b"BDAT %d%s\r\n" % (len(chunk), last.encode()) + chunk)
        code, reply = smtp.getreply()
        assert code == 250, reply

    refused = smtp.sendmail("j\u00f6rg@client.test", ["smtplib-\u4e16\u754c-" + name + "@system.test"], text,
        mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    assert not refused, refused
`

func clientSmtplib(t *testing.T, p *kit.Peer) {
	both(func(secure bool, name string) {
		to := "smtplib-" + name + "@system.test"
		text := kit.Message(kit.FromAddress, to, name)
		file := p.Write(p.File("smtplib-"+name), kit.CRLF(text), 0o644)
		kit.Run(t, "/usr/bin/python3", "-c", smtplibPeer, fmt.Sprint(p.Port), name, p.CA, kit.FromAddress, file)
		m := p.Check(t, secure, text, to)
		m.Want(t, "Sender", "<"+kit.FromAddress+"> BODY=8BITMIME RET=HDRS ENVID=QQ314159")
		if want := "<" + to + "> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob@Example.COM"; m.Recipients[0] != want {
			t.Errorf("recipient %s, want %s", m.Recipients[0], want)
		}
		p.Check(t, secure, text, "smtplib-bdat-"+name+"@system.test")

		m = p.SpooledFor("<smtplib-世界-"+name+"@system.test>", 1, 0)[0]
		m.WantTLS(t, map[bool]string{false: "UTF8SMTP", true: "UTF8SMTPS"}[secure], secure)
		if sender := m.Fields["Sender"]; !strings.HasPrefix(sender, "<jörg@client.test> ") || !strings.Contains(sender, "SMTPUTF8") {
			t.Errorf("sender %s", sender)
		}
		if got := kit.Split(m.Content).Rest; got != text {
			t.Errorf("spooled %q, want %q", got, text)
		}
	})
}
