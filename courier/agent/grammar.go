package agent

import (
	"crypto/tls"
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
	// ReadFile reads the files that Files names; without it, they are not read.
	ReadFile func(name string) ([]byte, error)
	// MaxSize and TooSmall are those of a Remote.
	MaxSize  int64
	TooSmall func(name string, limit int64)
}

// Usages returns how each kind of agent is written. Words in capitals are values.
func Usages() []string {
	return []string{
		"sendmail PROGRAM [ARG...]",
		"exec PROGRAM [ARG...]",
		"lmtp ADDRESS[,ADDRESS...] [WORD...]",
		"smtp ADDRESS[,ADDRESS...] [WORD...]",
		"maildir DIR",
	}
}

// WordUsages returns how the words of smtp and lmtp agents are written.
func WordUsages() []string {
	return []string{"tls may|none|verify|implicit", "ca FILE", "cert FILE", "auth FILE", "oauth2 USER FILE",
		"oauth2-program USER PROGRAM", "helo NAME", "xclient", "proxy"}
}

func usage(kind string) string {
	for _, u := range Usages() {
		if first, _, _ := strings.Cut(u, " "); first == kind {
			return u
		}
	}
	return ""
}

// Check reports what is wrong with the words of an agent, without looking at the files
// that they name.
func Check(words []string) error {
	_, err := Parse(words, Options{})
	return err
}

// Program returns the program that an agent's words name, "" if they name none. They
// have passed Check.
func Program(words []string) string {
	if words[0] == "sendmail" || words[0] == "exec" {
		return words[1]
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
		if err = absolute(args[0]); err == nil {
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
		default:
			if err = absolute(args[0]); err == nil {
				return NewMaildir(args[0]), nil
			}
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
	if o.TooSmall != nil {
		a.MaxSize, a.TooSmall = o.MaxSize, func(limit int64) { o.TooSmall(a.Name(), limit) }
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

// word takes one word with its values, and returns how many words these are.
func (o *Remote) word(words []string, env Options) (int, error) {
	word, n := words[0], values(words[0])
	switch {
	case n < 0:
		return 0, fmt.Errorf("%q is unknown: the words are %s", word, strings.Join(WordUsages(), ", "))
	case len(words) <= n:
		return 0, fmt.Errorf("%q needs a value: the words are %s", word, strings.Join(WordUsages(), ", "))
	}
	var err error
	switch value := append(words[1:1+n:1+n], ""); word {
	case "xclient":
		o.XClient = true
	case "proxy":
		o.Proxy = true
	case "tls":
		mode, ok := tlsModes[value[0]]
		if !ok {
			return 0, fmt.Errorf("tls %q is none of may, none, verify, implicit", value[0])
		}
		o.TLS = mode
	case "helo":
		if envelope.CheckAddress("x@"+value[0]) != nil {
			return 0, fmt.Errorf("helo %q is not the name of a host", value[0])
		}
		o.Helo = value[0]
	case "oauth2":
		o.User, o.Token, err = value[0], FileToken(value[1]), absolute(value[1])
	case "oauth2-program":
		o.User, o.Token, err = value[0], ProgramToken(value[1]), absolute(value[1])
	default:
		err = o.file(word, value[0], env)
	}
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", word, words[n], err)
	}
	return 1 + n, nil
}

// file takes a word whose value is a file.
func (o *Remote) file(word, name string, env Options) error {
	if env.ReadFile == nil {
		return absolute(name)
	}
	data, err := env.ReadFile(name)
	if err != nil {
		return err
	}
	switch word {
	case "auth":
		o.User, o.Password, err = readAuth(data)
	case "ca":
		o.Roots = x509.NewCertPool()
		if !o.Roots.AppendCertsFromPEM(data) {
			err = errors.New("no certificate in PEM form")
		}
	case "cert":
		var pair tls.Certificate
		if pair, err = tls.X509KeyPair(data, data); err == nil {
			o.Certificates = []tls.Certificate{pair}
		}
	}
	return err
}

// values is how many values a word takes; below zero, it is unknown.
func values(word string) int {
	for _, u := range WordUsages() {
		if list := strings.Fields(u); list[0] == word {
			return len(list) - 1
		}
	}
	return -1
}

// Files returns the files that an agent's words name and Parse reads.
func Files(words []string) []string {
	if len(words) < 2 || words[0] != "smtp" && words[0] != "lmtp" {
		return nil
	}
	var files []string
	for rest := words[2:]; len(rest) > 0; {
		n := values(rest[0])
		if n < 0 || len(rest) <= n {
			break // Parse says what is wrong
		}
		if rest[0] == "auth" || rest[0] == "ca" || rest[0] == "cert" {
			files = append(files, rest[1])
		}
		rest = rest[1+n:]
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

func absolute(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%q is not an absolute path", path)
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
