package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"smap/courier"
	"smap/netperm"
	"smap/spoolfmt/envelope"
)

// sendmails are where a sendmail program is looked for.
var sendmails = []string{"/usr/lib/sendmail", "/usr/sbin/sendmail"}

// makeAgent makes the agent that a clause describes.
func makeAgent(r *rules, clause netperm.WordsClause) (courier.Agent, error) {
	t := r.table
	words := t.Words(clause)
	if len(words) == 0 {
		argv := t.Words(netperm.Sendmail)
		if len(argv) == 0 {
			argv = []string{sendmails[len(sendmails)-1]}
			for _, p := range sendmails {
				if _, err := os.Stat(p); err == nil {
					argv = []string{p}
					break
				}
			}
		}
		return &courier.Sendmail{Argv: argv}, nil
	}
	kind, args := words[0], words[1:]
	switch kind {
	case "sendmail":
		return &courier.Sendmail{Argv: args}, nil
	case "exec":
		if err := courier.CheckTemplate(args); err != nil {
			return nil, t.Errorf(clause, "%w", err)
		}
		return &courier.Exec{Argv: args}, nil
	case "maildir":
		return courier.NewMaildir(args[0]), nil
	}
	remote, err := makeRemote(r, kind, args)
	if err != nil {
		return nil, t.Errorf(clause, "%w", err)
	}
	return remote, nil
}

// tlsModes are the values of an agent's tls word.
var tlsModes = map[string]courier.TLSMode{
	"may": courier.TLSMay, "none": courier.TLSNone, "verify": courier.TLSVerify, "implicit": courier.TLSImplicit,
}

// makeRemote makes an smtp or lmtp agent: ADDRESS [tls MODE] [ca FILE] [auth
// FILE] [helo NAME] [xclient]. With auth, to another host, tls is verify unless it
// is given.
func makeRemote(r *rules, kind string, args []string) (*courier.Remote, error) {
	make := courier.NewSMTP
	if kind == "lmtp" {
		make = courier.NewLMTP
	}
	a, err := make(args[0])
	if err != nil {
		return nil, err
	}
	if name := r.table.String(netperm.Hostname); name != "" {
		a.Helo = name
	}
	given := false
	for i := 1; i < len(args); i++ {
		word := args[i]
		if word == "xclient" {
			a.XClient = true
			continue
		}
		i++
		if i == len(args) {
			return nil, fmt.Errorf("%q is unknown or needs a value", word)
		}
		switch value := args[i]; word {
		case "tls":
			mode, ok := tlsModes[value]
			if !ok {
				return nil, fmt.Errorf("tls %q is none of may, none, verify, implicit", value)
			}
			a.TLS, given = mode, true
		case "auth":
			if a.User, a.Password, err = readAuth(r.Files[value]); err != nil {
				return nil, fmt.Errorf("auth %s: %w", value, err)
			}
		case "ca":
			a.Roots = x509.NewCertPool()
			if !a.Roots.AppendCertsFromPEM(r.Files[value]) {
				return nil, fmt.Errorf("ca %s: no certificate in PEM form", value)
			}
		case "helo":
			if envelope.CheckAddress("x@"+value) != nil {
				return nil, fmt.Errorf("helo %q is not a host's name", value)
			}
			a.Helo = value
		default:
			return nil, fmt.Errorf("%q is none of tls, ca, auth, helo, xclient", word)
		}
	}
	switch {
	case a.User == "" || a.Local():
	case !given:
		a.TLS = courier.TLSVerify
	case a.TLS != courier.TLSVerify && a.TLS != courier.TLSImplicit:
		return nil, errors.New("auth needs tls verify or tls implicit: anybody in between could read the password")
	}
	return a, nil
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
