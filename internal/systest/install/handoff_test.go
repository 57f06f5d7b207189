//go:build system

package install

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestRecipeRecipients lists what Postfix takes, from its own maps, and what the users and aliases of this machine are.
func TestRecipeRecipients(t *testing.T) {
	t.Parallel()
	r := newRecipes(t)
	config := r.File("postfix")
	if err := os.Mkdir(config, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"aliases": "Info: root\nsales: ann@example.net\n",
		"virtual": "ann@example.com root\n@catchall.test root\nbob@other.test root\n",
		"main.cf": "compatibility_level = 3.6\nalias_maps = texthash:" + config + "/local, nis:aliases\nvirtual_alias_maps = texthash:" + config + "/virtual\n",
		"local":   "info root\nsales root\n", "master.cf": "",
	} {
		r.Write(filepath.Join(config, name), text, 0o644)
	}
	list := r.File("recipients")
	run := func(env string, args ...string) (string, error) {
		cmd := exec.Command(r.script("recipients"), args...)
		cmd.Env = append(os.Environ(), env)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("MAIL_CONFIG="+config, "postfix", list, "example.com", "Example.NET")
	if err != nil || !strings.Contains(out, "nis:aliases cannot be listed") {
		t.Fatalf("%v: %s", err, out)
	}
	got := strings.Fields(kit.ReadFile(t, list))
	for _, want := range []string{"root@example.com", "root@example.net", "info@example.com", "sales@example.net", "ann@example.com"} {
		if !slices.Contains(got, want) {
			t.Errorf("postfix: no %s in %q", want, got)
		}
	}
	for _, address := range got {
		if strings.HasSuffix(address, "other.test") || strings.HasPrefix(address, "@") || strings.Contains(address, "ann@example.com@") {
			t.Errorf("postfix: %s is none of ours", address)
		}
	}
	if info, err := os.Stat(list); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the file: %v, %v", info, err)
	}

	// smap knows them, and nobody else.
	port := kit.FreePort(t)
	r.Rules("smap: local-domains example.com", "smap: recipients "+list, "smap: log stderr")
	kit.Start(t, kit.Program(t, "smap"), "-c", r.Table, "-listen", kit.Local(port))
	kit.Listening(t, port)
	c := kit.DialSMTP(t, port)
	c.Reply("220")
	for _, step := range [][2]string{{"HELO x", "250"}, {"MAIL FROM:<a@b.test>", "250"}, {"RCPT TO:<Info@example.com>", "250"}, {"RCPT TO:<nobody-here@example.com>", "550"}} {
		c.Say(step[0], step[1])
	}

	// A list that has shrunk to less than half is not believed.
	many := strings.Repeat("x@example.com\n", 10000)
	r.Write(list, many, 0o644)
	if out, err := run("", "passwd", list, "example.com"); err == nil || kit.ReadFile(t, list) != many {
		t.Errorf("a short list: %v: %s", err, out)
	}
	// A server that does not answer costs nobody the list.
	if out, err := run("PATH=/nowhere:/usr/bin:/bin", "exim", r.File("other"), "example.com"); err == nil {
		t.Errorf("without Exim: %s", out)
	}
}

// TestRecipePickup sends what .NET writes, and leaves alone what is still being written.
func TestRecipePickup(t *testing.T) {
	t.Parallel()
	r := newRecipes(t)
	dir := r.File("pickup")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Minute)
	put := func(name, text string) string {
		t.Helper()
		path := r.Write(filepath.Join(dir, name), strings.ReplaceAll(text, "\n", "\r\n"), 0o644)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("net.eml", "X-Sender: ann@example.com\nX-Receiver: bob@example.org\nX-Receiver: <carol@example.net>\nMIME-Version: 1.0\nFrom: Ann <ann@example.com>\nTo: bob@example.org\nSubject: .NET\n\nX-Sender: in the body\n")
	put("plain.eml", "From: ann@example.com\nTo: dan@example.org\nSubject: plain\n\nx\n")
	put("bad.eml", "nonsense without a header\n")
	young := r.Write(filepath.Join(dir, "young.eml"), "To: x@example.org\n\n", 0o644)
	open, err := os.OpenFile(put("open.eml", "To: x@example.org\n\n"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	cmd := exec.Command(r.script("pickup"), dir)
	cmd.Env = append(os.Environ(), "SMAP_SPOOL="+r.box("in"), "PATH="+filepath.Dir(kit.Program(t, "smapq"))+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := ""
	for _, name := range r.left("in", "new", 2) {
		all += kit.ReadFile(t, name) + kit.ReadFile(t, strings.TrimSuffix(name, ".envelope")+".eml")
	}
	for _, want := range []string{"Sender: <ann@example.com>\nRecipient: <bob@example.org>\nRecipient: <carol@example.net>\n", "Recipient: <dan@example.org>\n",
		"Subject: .NET\n\nX-Sender: in the body\n"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in %s", want, all)
		}
	}
	if strings.Contains(all, "X-Receiver") || strings.Contains(all, "\r") {
		t.Errorf("left in: %q", all)
	}
	for _, path := range []string{young, open.Name(), filepath.Join(dir, "failed/bad.eml")} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if names, _ := filepath.Glob(dir + "/*.eml"); len(names) != 2 {
		t.Errorf("left: %q", names)
	}
}

// TestRecipeSpamassassin puts SpamAssassin between two spools: spam stays in the first.
func TestRecipeSpamassassin(t *testing.T) {
	t.Parallel()
	r := newRecipes(t)
	const gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
	r.submit(plain, "bob@example.org", "ann@example.com")
	r.submit("From: bob@example.org\nTo: ann@example.com\nSubject: spam\n\n"+gtube+"\n", "bob@example.org", "ann@example.com")
	r.take(75, "filter", r.box("out"), "spamassassin", "--local", "--exit-code")
	sent := r.left("out", "new", 1)
	if text := kit.ReadFile(t, strings.TrimSuffix(sent[0], ".envelope")+".eml"); !strings.Contains(text, "X-Spam-Status: No") || !strings.HasSuffix(text, "\nbody\n.\n") {
		t.Errorf("sent on: %s", text)
	}
	r.left("in", "cur", 1)
}

// TestRecipeOAuth has a smarthost that takes only XOAUTH2, over TLS.
func TestRecipeOAuth(t *testing.T) {
	t.Parallel()
	r := newRecipes(t)
	ca, cert, key := kit.Certificate(t, r.Site, "localhost")
	r.Write(r.File("ca.pem"), kit.ReadFile(t, ca), 0o644)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	token := r.Write(r.File("token"), "#!/bin/sh\necho secret-token\n", 0o755)
	got := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		got <- oauthDialogue(c)
	}()
	r.submit(plain, "bob@example.org", "ann@example.com", "carol@example.com")
	r.take(0, "smarthost-oauth2", fmt.Sprintf("smtps://localhost:%d", ln.Addr().(*net.TCPAddr).Port), "bob@example.org", token)
	said := <-got
	want := base64.StdEncoding.EncodeToString([]byte("user=bob@example.org\x01auth=Bearer secret-token\x01\x01"))
	for _, line := range []string{"AUTH XOAUTH2 " + want, "MAIL FROM:<bob@example.org>", "RCPT TO:<carol@example.com>", "Subject: hello"} {
		if !strings.Contains(said, line) {
			t.Errorf("no %q in\n%s", line, said)
		}
	}
	r.left("in", "cur", 0)
	r.left("in", "new", 0)
}

// oauthDialogue answers like a smarthost, and returns what it heard.
func oauthDialogue(c net.Conn) string {
	defer c.Close()
	var said strings.Builder
	fmt.Fprint(c, "220 smarthost.test\r\n")
	data := false
	for lines := bufio.NewScanner(c); lines.Scan(); {
		line := lines.Text()
		said.WriteString(line + "\n")
		switch word, _, _ := strings.Cut(strings.ToUpper(line), " "); {
		case data && line == ".":
			data = false
			fmt.Fprint(c, "250 taken\r\n")
		case data:
		case word == "EHLO":
			fmt.Fprint(c, "250-smarthost.test\r\n250 AUTH XOAUTH2\r\n")
		case word == "AUTH":
			fmt.Fprint(c, "235 ok\r\n")
		case word == "DATA":
			data = true
			fmt.Fprint(c, "354 go\r\n")
		case word == "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return said.String()
		default:
			fmt.Fprint(c, "250 ok\r\n")
		}
	}
	return said.String()
}
