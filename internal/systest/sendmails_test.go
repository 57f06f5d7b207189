//go:build system

package systest

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A mailer is a mail server's sendmail program as smapd's agent. It relays to a sink.
type mailer struct {
	name  string
	spool *bulk // feeds the smapd that calls it
	sink  *sink // where everything ends
	smapd *process
	// What the program makes of an address that it cannot carry, by the letter's name.
	sender, recipient map[string]string
}

// A letter is what every one of them has to carry.
type letter struct {
	name, sender string
	to           []string
	content      string
}

func letters() []letter {
	const to = "bob@system.test"
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("r%03d@system.test", i))
	}
	list := []letter{
		{name: "plain", sender: fromAddress, to: []string{to}},
		{name: "null", sender: "", to: []string{to}},
		{name: "quoted", sender: `"ann b"@client.test`, to: []string{`"bob c"@system.test`}},
		{name: "many", sender: fromAddress, to: many},
	}
	for i := range list {
		// Lone dots, 8-bit text, and more that a careless program damages.
		list[i].content = message(fromAddress, to, list[i].name)
	}
	return list
}

// check feeds the letters and compares what arrives with them, octet for octet past the added fields.
func (m *mailer) check(t *testing.T) {
	t.Helper()
	all := letters()
	for _, l := range all {
		m.spool.commit(m.name+"-"+l.name, l.sender, l.content, l.to...)
	}
	for _, l := range all {
		t.Run(l.name, func(t *testing.T) { m.arrived(t, l) })
	}
}

func (m *mailer) arrived(t *testing.T, l letter) {
	sender, to := "<"+l.sender+">", slices.Clone(l.to)
	if other, ok := m.sender[l.name]; ok {
		sender = other
	}
	if other, ok := m.recipient[l.name]; ok {
		to = []string{other}
	}
	var got []sunk
	var rcpt []string
	eventually(30*time.Second, func() bool {
		got, rcpt = nil, nil
		for _, s := range m.sink.messages() {
			if strings.Contains(s.content, "\nSubject: "+l.name+"\n") {
				got = append(got, s)
				rcpt = append(rcpt, s.rcpt...)
			}
		}
		return len(rcpt) >= len(to)
	})
	for i := range rcpt {
		address, _, _ := strings.Cut(rcpt[i], "> ")
		rcpt[i] = strings.Trim(address, "<>")
	}
	slices.Sort(rcpt)
	slices.Sort(to)
	if !slices.Equal(rcpt, to) {
		t.Errorf("recipients %v, want %v", head(strings.Join(rcpt, " "), 300), head(strings.Join(to, " "), 300))
	}
	for _, s := range got {
		address, _, _ := strings.Cut(s.mail, "> ")
		if address = strings.TrimSuffix(address, ">") + ">"; address != sender {
			t.Errorf("sender %s, want %s", address, sender)
		}
		if rest := split(s.content).rest; rest != l.content {
			t.Errorf("content\n%q, want\n%q", head(s.content, 1500), head(l.content, 1500))
		}
	}
}

// newMailer starts smapd within a root, as a user of it, with a sendmail program of its own as its agent.
func newMailer(t *testing.T, s *site, r *root, sink *sink, name, agent string) *mailer {
	t.Helper()
	const spool = "/var/spool/smap"
	uid, gid := r.account("smapd")
	inside := &site{t: t, dir: r.dir, spool: r.path(spool)}
	for _, dir := range []string{"", "tmp", "new", "cur", "bad"} {
		s.mkdir(inside.path(dir), 0o700, uid, gid)
	}
	binary, err := os.ReadFile(program(t, "smapd"))
	if err != nil {
		t.Fatal(err)
	}
	s.write(r.path("usr/sbin/smapd"), string(binary), 0o755)
	s.write(r.path("netperm-table"), strings.Join([]string{"smapd: directory " + spool, "smapd: userid smapd", "smapd: log stderr",
		"smapd: executable /usr/sbin/smapd", "smapd: badadmin none", "smapd: retry 1 1 2", agent}, "\n")+"\n", 0o600)
	return &mailer{
		name: name, sink: sink, spool: &bulk{t: t, spool: inside.spool, uid: uid, gid: gid},
		smapd: startCommand(t, r.command("/usr/sbin/smapd", "-c", "/netperm-table")),
	}
}

func (s *sink) port() string {
	_, port, _ := net.SplitHostPort(s.addr)
	return port
}

// TestSendmails has the sendmail programs of six mail servers take the same letters from smapd.
func TestSendmails(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*testing.T, *site, *sink) *mailer{
		"postfix": mailerPostfix, "exim": mailerExim, "sendmail": mailerSendmail,
		"nullmailer": mailerNullmailer, "dma": mailerDMA, "msmtp": mailerMsmtp,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink := newSink(t, false)
			f(t, newSite(t), sink).check(t)
		})
	}
}
