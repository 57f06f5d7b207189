package agent

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"smap/spoolfmt/envelope"
)

// Options are what an agent takes from its surroundings.
type Options struct {
	// Hostname is our name for a server; empty is the host's.
	Hostname string
	// ReadFile reads the files that Files names.
	ReadFile func(name string) ([]byte, error)
}

// Usages returns how each kind of agent is written. Words in capitals are values.
func Usages() []string {
	return []string{
		"sendmail PROGRAM [ARG...]",
		"exec PROGRAM [ARG...]",
		"lmtp ADDRESS [WORD...]",
		"smtp ADDRESS [WORD...]",
		"maildir DIR",
	}
}

// WordUsages returns how the words of smtp and lmtp agents are written.
func WordUsages() []string {
	return []string{"tls may|none|verify|implicit", "ca FILE", "auth FILE", "helo NAME", "xclient"}
}

func usage(kind string) string {
	for _, u := range Usages() {
		if first, _, _ := strings.Cut(u, " "); first == kind {
			return u
		}
	}
	return ""
}

// Parse makes the agent that a table's words describe: a kind, and what that kind
// takes. Whether programs and servers exist is found out by the first delivery.
func Parse(words []string, o Options) (Agent, error) {
	if len(words) == 0 {
		return nil, errors.New("no kind of agent")
	}
	kind, args := words[0], words[1:]
	form := usage(kind)
	switch {
	case form == "":
		return nil, fmt.Errorf("%q is not a kind of agent", kind)
	case len(args) == 0:
		return nil, fmt.Errorf("agent %s needs a value: agent %s", kind, form)
	}
	var err error
	switch kind {
	case "sendmail":
		if err = checkProgram(args[0]); err == nil {
			return &Sendmail{Argv: args}, nil
		}
	case "exec":
		if err = CheckTemplate(args); err == nil {
			return &Exec{Argv: args}, nil
		}
	case "maildir":
		switch {
		case len(args) > 1:
			err = fmt.Errorf("agent maildir takes one value, got %d: agent %s", len(args), form)
		case !filepath.IsAbs(args[0]):
			err = fmt.Errorf("%q is not an absolute path", args[0])
		default:
			return NewMaildir(args[0]), nil
		}
	default:
		var r *Remote
		if r, err = parseRemote(kind, args, o); err == nil {
			return r, nil
		}
	}
	return nil, err
}

// tlsModes are the values of the word tls.
var tlsModes = map[string]TLSMode{"may": TLSMay, "none": TLSNone, "verify": TLSVerify, "implicit": TLSImplicit}

// parseRemote makes an smtp or lmtp agent. With auth, to another host, tls is verify
// unless it is given.
func parseRemote(kind string, args []string, o Options) (*Remote, error) {
	create := NewSMTP
	if kind == "lmtp" {
		create = NewLMTP
	}
	a, err := create(args[0])
	if err != nil {
		return nil, err
	}
	if o.Hostname != "" {
		a.Helo = o.Hostname
	}
	given := false
	for rest := args[1:]; len(rest) > 0; {
		n, err := a.word(rest, o)
		if err != nil {
			return nil, err
		}
		given = given || rest[0] == "tls"
		rest = rest[n:]
	}
	switch {
	case a.User == "" || a.Local():
	case !given:
		a.TLS = TLSVerify
	case a.TLS != TLSVerify && a.TLS != TLSImplicit:
		return nil, errors.New("auth needs tls verify or tls implicit: anybody in between could read the password")
	}
	return a, nil
}

// word takes one word with its value, and returns how many words these are.
func (o *Remote) word(words []string, env Options) (int, error) {
	word := words[0]
	if word == "xclient" {
		o.XClient = true
		return 1, nil
	}
	if len(words) == 1 {
		return 0, fmt.Errorf("%q is unknown or needs a value: the words are %s", word, strings.Join(WordUsages(), ", "))
	}
	value := words[1]
	switch word {
	case "tls":
		mode, ok := tlsModes[value]
		if !ok {
			return 0, fmt.Errorf("tls %q is none of may, none, verify, implicit", value)
		}
		o.TLS = mode
	case "auth":
		data, err := env.ReadFile(value)
		if err == nil {
			o.User, o.Password, err = readAuth(data)
		}
		if err != nil {
			return 0, fmt.Errorf("auth %s: %w", value, err)
		}
	case "ca":
		data, err := env.ReadFile(value)
		if err != nil {
			return 0, fmt.Errorf("ca %s: %w", value, err)
		}
		o.Roots = x509.NewCertPool()
		if !o.Roots.AppendCertsFromPEM(data) {
			return 0, fmt.Errorf("ca %s: no certificate in PEM form", value)
		}
	case "helo":
		if envelope.CheckAddress("x@"+value) != nil {
			return 0, fmt.Errorf("helo %q is not the name of a host", value)
		}
		o.Helo = value
	default:
		return 0, fmt.Errorf("%q is unknown: the words are %s", word, strings.Join(WordUsages(), ", "))
	}
	return 2, nil
}

// Files returns the files that an agent's words name and Parse reads.
func Files(words []string) []string {
	var files []string
	if len(words) < 2 || words[0] != "smtp" && words[0] != "lmtp" {
		return nil
	}
	for i := 2; i < len(words); i++ {
		switch words[i] {
		case "auth", "ca":
			if i+1 < len(words) {
				files = append(files, words[i+1])
			}
			i++
		case "tls", "helo":
			i++
		}
	}
	return files
}

// readAuth reads a file of two lines: user, password.
func readAuth(data []byte) (user, password string, err error) {
	user, rest, _ := strings.Cut(string(data), "\n")
	password, rest, _ = strings.Cut(rest, "\n")
	user, password = strings.TrimSuffix(user, "\r"), strings.TrimSuffix(password, "\r")
	if user == "" || password == "" || strings.TrimSpace(rest) != "" {
		return "", "", errors.New("the file must hold two lines: user, password")
	}
	return user, password, nil
}

func checkProgram(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("the program must be an absolute path, not %q", path)
	}
	return nil
}

// SystemSendmail returns the sendmail program of this system: the first of the usual
// paths that exists, or the last of them.
func SystemSendmail() string {
	const first, second = "/usr/lib/sendmail", "/usr/sbin/sendmail"
	if _, err := os.Stat(first); err == nil {
		return first
	}
	return second
}
