package agent

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// login authenticates, over a network only to a server whose certificate was
// checked.
func (c *smtpConn) login(ctx context.Context) error {
	if c.opt.User == "" {
		return nil
	}
	if !c.verified && !c.server.local() {
		return errors.New("a password or token is sent only over verified TLS; use tls verify or tls implicit")
	}
	offered := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
	for _, m := range offered {
		switch {
		case m == "XOAUTH2" && c.opt.Token != nil:
			return hideCommand(c.loginToken(ctx))
		case m == "PLAIN" && c.opt.Token == nil:
			return hideCommand(c.loginPlain())
		case m == "LOGIN" && c.opt.Token == nil:
			return hideCommand(c.loginLogin())
		}
	}
	if c.opt.Token != nil {
		return fmt.Errorf("the server does not offer AUTH XOAUTH2; it offers %q", c.ext["AUTH"])
	}
	return fmt.Errorf("the server offers neither AUTH PLAIN nor LOGIN; it offers %q", c.ext["AUTH"])
}

func base64text(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func (c *smtpConn) loginPlain() error {
	_, err := c.expect(235, "AUTH PLAIN "+base64text("\x00"+c.opt.User+"\x00"+c.opt.Password))
	return err
}

func (c *smtpConn) loginLogin() error {
	for _, step := range []struct {
		code int
		line string
	}{{334, "AUTH LOGIN"}, {334, base64text(c.opt.User)}, {235, base64text(c.opt.Password)}} {
		if _, err := c.expect(step.code, step.line); err != nil {
			return err
		}
	}
	return nil
}

func (c *smtpConn) loginToken(ctx context.Context) error {
	token, err := c.opt.Token(ctx)
	if err != nil {
		return fmt.Errorf("oauth2: %w", err)
	}
	r, err := c.command("AUTH XOAUTH2 " + base64text("user="+c.opt.User+"\x01auth=Bearer "+token+"\x01\x01"))
	if err == nil && r.code == 334 { // the reason, as JSON; the verdict follows an empty line
		r, err = c.command("")
	}
	if err == nil && r.code != 235 {
		err = &replyError{"AUTH", r}
	}
	return err
}

// hideCommand keeps passwords out of the log.
func hideCommand(err error) error {
	var e *replyError
	if errors.As(err, &e) {
		return &replyError{"AUTH", e.reply}
	}
	return err
}

// maxToken bounds an access token.
const maxToken = 8 << 10

// FileToken returns a Token that reads a file at each login: something else renews
// the token in it.
func FileToken(path string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		return cleanToken(data)
	}
}

// ProgramToken returns a Token that runs a program at each login and takes what it
// prints.
func ProgramToken(path string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, path)
		cmd.Dir, cmd.Env, cmd.WaitDelay = "/", baseEnv, time.Second
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		return cleanToken(out)
	}
}

func cleanToken(data []byte) (string, error) {
	token := string(bytes.TrimSpace(data))
	if token == "" || len(token) > maxToken || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", errors.New("no token: one word of ASCII is expected")
	}
	return token, nil
}
