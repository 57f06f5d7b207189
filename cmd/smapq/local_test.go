package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/sysexits"
)

// TestHostName: /etc/mailname comes before the host's name, and neither may spoil
// an address.
func TestHostName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mailname")
	for _, test := range []struct{ text, host, want string }{
		{"example.com\n", "host", "example.com"}, {"", "host.example.com", "host.example.com"},
		{"no domain here\n", "host", "host"}, {"", "a b", "localhost"},
	} {
		if err := os.WriteFile(file, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := domainOf(file, func() (string, error) { return test.host, nil }); got != test.want {
			t.Errorf("%q, %q: %s, want %s", test.text, test.host, got, test.want)
		}
	}
	if got := domainOf(file+"x", func() (string, error) { return "", errors.New("none") }); got != "localhost" {
		t.Errorf("without any name: %s", got)
	}
}

// sendmail runs the program as sendmail, with a file of aliases, and returns the
// envelope that it makes.
func sendmail(t *testing.T, text string, to ...string) (envelope string, code int, said string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	spool, file, in := filepath.Join(dir, "spool"), filepath.Join(dir, "aliases"), filepath.Join(dir, "in")
	if err := errors.Join(os.Mkdir(spool, 0o700), os.WriteFile(file, []byte(text), 0o600), os.WriteFile(in, []byte("Subject: x\n\nx\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var errs bytes.Buffer
	a := &app{in: f, out: bufio.NewWriter(&errs), err: &errs, getenv: func(name string) string {
		return map[string]string{"SMAP_SPOOL": spool}[name]
	}, now: time.Now, aliases: file}
	umask := syscall.Umask(0o077) // which who feeds changes
	syscall.Umask(umask)
	code = a.run(context.Background(), "sendmail", to)
	syscall.Umask(umask)
	names, err := filepath.Glob(filepath.Join(spool, "new", "*.envelope"))
	if err != nil || len(names) > 1 {
		t.Fatalf("%v: %v", names, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		envelope = string(data)
	}
	return envelope, code, errs.String()
}

// TestAliases: root's mail goes where the file says, once to each.
func TestAliases(t *testing.T) {
	const file = "# local mail\nroot: ann@example.com, bob@example.org\nPostmaster: ann@example.com\n*: rest@example.com\n"
	for _, test := range []struct{ to, want string }{
		{"root", "<ann@example.com> <bob@example.org>"},
		{"ROOT@localhost", "<ann@example.com> <bob@example.org>"},
		{"root@" + hostName(), "<ann@example.com> <bob@example.org>"},
		{"root postmaster", "<ann@example.com> <bob@example.org>"},
		{"www-data", "<rest@example.com>"},
		{"root@example.net carol@example.net", "<root@example.net> <carol@example.net>"},
	} {
		env, code, said := sendmail(t, file, strings.Fields(test.to)...)
		var got []string
		for line := range strings.Lines(env) {
			if to, ok := strings.CutPrefix(line, "Recipient: "); ok {
				got = append(got, strings.TrimSpace(to))
			}
		}
		if strings.Join(got, " ") != test.want || code != 0 || said != "" {
			t.Errorf("%s: %s, %d, %q, want %s", test.to, got, code, said, test.want)
		}
	}
	for text, want := range map[string]string{
		"root ann@example.com\n": ":1: expected \"name: address\"", "\nroot: a b\n": ":2: address",
	} {
		if env, code, said := sendmail(t, text, "root"); env != "" || code != sysexits.Config || !strings.Contains(said, want) {
			t.Errorf("%q: %q, %d, %q", text, env, code, said)
		}
	}
}

// TestQualify: names without a domain get ours, and nothing else of a header changes.
func TestQualify(t *testing.T) {
	at := "@" + hostName()
	for text, want := range map[string]string{
		"From: root (Cron Daemon)\nTo: root\n\n":           "From: root" + at + " (Cron Daemon)\nTo: root" + at + "\n\n",
		"cc:ann,bob\n\n":                                   "cc: ann" + at + ", bob" + at + "\n\n",
		"To: ann, bob@example.org\n\n":                     "",
		"To: Ann <ann>\n\n":                                "",
		"To: \"ann\"\n\n":                                  "",
		"To: staff: ann;\n\n":                              "",
		"To: ann (a, b)\n\n":                               "",
		"To: ann,\n bob\n\n":                               "",
		"To: \n\n":                                         "",
		"Subject: root\nX-To: root\nBcc: root\nnonsense\n": "",
	} {
		if want == "" {
			want = text
		}
		if got := qualify(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
