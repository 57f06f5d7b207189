//go:build system

package interop

import (
	"encoding/base64"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// clientSwaks sends with every option of swaks that changes what goes over the line and needs no AUTH.
func clientSwaks(t *testing.T, p *kit.Peer, tools *kit.Root) {
	swaks := func(to string, args ...string) (string, error) {
		cmd := tools.Command("/usr/bin/perl", append([]string{"/usr/bin/swaks", "--server", "127.0.0.1", "--port", fmt.Sprint(p.Port),
			"--helo", "client.test", "--from", kit.FromAddress, "--to", to}, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	var many []string
	for i := range 150 {
		many = append(many, fmt.Sprintf("swaks-many-%d@system.test", i))
	}
	verify := []string{"--tls", "--tls-verify", "--tls-ca-path", "/etc/ca.pem"}
	for _, c := range []struct {
		name   string
		secure bool
		to     []string
		args   []string
	}{
		{"plain", false, nil, nil},
		{"tls", true, nil, verify},
		{"tls12", true, nil, []string{"--tls", "--tls-protocol", "tlsv1_2", "--tls-sni", "mx.system.test"}},
		{"tls-optional", true, nil, []string{"--tls-optional-strict"}},
		{"pipeline", false, many, []string{"--pipeline"}},
		{"tls-pipeline", true, nil, append([]string{"--pipeline"}, verify...)},
		{"drop", false, nil, []string{"--drop-after-send", "dot"}},
	} {
		to := c.to
		if to == nil {
			to = []string{"swaks-" + c.name + "@system.test"}
		}
		text := kit.Message(kit.FromAddress, to[0], c.name)
		// swaks ends the data with a line end of its own.
		p.Write(tools.Path("tmp", c.name), strings.TrimSuffix(text, "\n"), 0o644)
		if out, err := swaks(strings.Join(to, ","), append(c.args, "--data", "@/tmp/"+c.name)...); err != nil && c.name != "drop" {
			t.Errorf("swaks %s: %v\n%s", c.name, err, kit.Tail(out, 4000))
		}
		m := p.Check(t, c.secure, text, to...)
		if c.name == "tls12" && !strings.HasPrefix(m.Fields["TLS"], "TLSv1.2 ") {
			t.Errorf("TLS %q", m.Fields["TLS"])
		}
	}
	t.Run("attachment", func(t *testing.T) { swaksAttachment(t, p.In(t), tools, swaks) })
	t.Run("nothing", func(t *testing.T) { swaksNothing(t, p.In(t), swaks) })
	t.Run("pipe", func(t *testing.T) { swaksPipe(t, p.In(t)) })
}

// swaksAttachment has swaks make the message itself, with every octet there is in the attachment.
func swaksAttachment(t *testing.T, p *kit.Peer, tools *kit.Root, swaks func(string, ...string) (string, error)) {
	var all []byte
	for i := range 4096 {
		all = append(all, byte(i))
	}
	p.Write(tools.Path("tmp/attachment"), string(all), 0o644)
	to := "swaks-attachment@system.test"
	if out, err := swaks(to, "--attach-type", "application/octet-stream", "--attach-name", "all", "--attach", "@/tmp/attachment",
		"--add-header", "X-Test: added", "--header", "Subject: attached", "--body", "Grüße\n.\n"); err != nil {
		t.Fatalf("%v\n%s", err, kit.Tail(out, 4000))
	}
	m := p.Envelope(t, "ESMTP", false, to)
	flat := strings.ReplaceAll(m.Content, "\n", "")
	for _, want := range []string{base64.StdEncoding.EncodeToString(all), "X-Test: added", "Subject: attached"} {
		if !strings.Contains(flat, want) {
			t.Errorf("the message lacks %q", kit.Head(want, 100))
		}
	}
	if !strings.Contains(m.Content, "\n\nGrüße\n.\n") {
		t.Errorf("the body is not in %q", kit.Head(m.Content, 1000))
	}
}

// swaksNothing ends sessions early: no message comes of them. SMTP without E, an empty sender and a long name do.
func swaksNothing(t *testing.T, p *kit.Peer, swaks func(string, ...string) (string, error)) {
	for _, args := range [][]string{{"--quit-after", "CONNECT"}, {"--quit-after", "FIRST-HELO"}, {"--quit-after", "MAIL"}, {"--quit-after", "RCPT"},
		{"--tls", "--quit-after", "TLS"}, {"--drop-after", "DATA"}, {"--drop-after-send", "RCPT"}, {"--drop-after", "TLS", "--tls"}} {
		out, err := swaks("swaks-nothing@system.test", args...)
		if args[0] == "--quit-after" && (err != nil || !strings.Contains(out, "221 ")) {
			t.Errorf("swaks %v: %v\n%s", args, err, kit.Tail(out, 2000))
		}
	}
	for _, args := range [][]string{{"--protocol", "SMTP"}, {"--from", "<>"}, {"--helo", strings.Repeat("h", 255)}} {
		if out, err := swaks("swaks-odd@system.test", args...); err != nil {
			t.Errorf("swaks %v: %v\n%s", args, err, kit.Tail(out, 2000))
		}
	}
	facts := map[string]int{}
	for _, m := range p.SpooledFor("swaks-odd@", 3, 0) {
		facts[m.Fields["Protocol"]]++
		facts[m.Fields["Sender"]]++
		facts[fmt.Sprint(len(m.Fields["Helo"]))]++
	}
	if facts["SMTP"] != 1 || facts["ESMTP"] != 2 || facts["<>"] != 1 || facts["255"] != 1 {
		t.Errorf("envelopes: %v", facts)
	}
	p.SpooledFor("swaks-nothing@", 0, 0)
}

// swaksPipe has swaks start smap itself, with two pipes in place of a connection.
func swaksPipe(t *testing.T, p *kit.Peer) {
	to := "swaks-pipe@system.test"
	text := kit.Message(kit.FromAddress, to, "pipe")
	file := p.Write(p.File("pipe"), strings.TrimSuffix(text, "\n"), 0o644)
	out, err := exec.Command("swaks", "--pipe", kit.Program(t, "smap")+" -c "+p.Table, "--helo", "client.test", "--from", kit.FromAddress,
		"--to", to, "--data", "@"+file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, kit.Tail(string(out), 4000))
	}
	m := p.SpooledFor(to, 1, 0)[0]
	m.Want(t, "Client-Address", "local")
	if got := kit.Split(m.Content).Rest; got != text {
		t.Errorf("spooled %q, want %q", got, text)
	}
}
