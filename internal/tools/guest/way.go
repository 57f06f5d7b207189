//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// smtpAddress is where smap listens.
const smtpAddress = "127.0.0.1:25"

// A server is a program that runs in the background. Its log is kept.
type server struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	log bytes.Buffer
	end chan error
}

func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func start(name string, args ...string) (*server, error) {
	s := &server{cmd: exec.Command(name, args...), end: make(chan error, 1)}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.end <- s.cmd.Wait() }()
	return s, nil
}

func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return <-s.end
}

// await asks until it is true, for a time that is long enough for an emulated machine.
func await(what string, done func() bool) error {
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("waited in vain until %s", what)
		}
	}
	return nil
}

// site makes a spool and a table as the README says.
func site(dir string, rules ...string) (table string, err error) {
	if out, err := exec.Command("/bin/smapq", "-d", filepath.Join(dir, "spool"), "init", "--user", "smapd", "--group", "smapfeed").CombinedOutput(); err != nil {
		return "", fmt.Errorf("smapq init: %w: %s", err, out)
	}
	lines := append([]string{"smap, smapd: directory " + filepath.Join(dir, "spool"), "smap, smapd: log stderr", "smap: userid smap",
		"smap: groupid smapfeed", "smap: hostname mx.guest.test", "smap: local-domains guest.test", "smapd: userid smapd"}, rules...)
	table = filepath.Join(dir, "netperm-table")
	return table, os.WriteFile(table, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

const letter = "Subject: one\r\n\r\nthe way of a message\r\n"

// way has a client send one message, which must arrive in a maildir.
func way() error {
	dir, err := os.MkdirTemp("/tmp", "way")
	if err != nil {
		return err
	}
	maildir := filepath.Join(dir, "Maildir")
	owner, err := user.Lookup("smapd")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err := errors.Join(err, os.Chmod(dir, 0o755), os.Mkdir(maildir, 0o700), os.Chown(maildir, uid, -1)); err != nil {
		return err
	}
	table, err := site(dir, "smapd: agent maildir "+maildir)
	if err != nil {
		return err
	}
	smap, err := start("/bin/smap", "-c", table, "-listen", smtpAddress)
	if err != nil {
		return err
	}
	if err := await("smap listens", func() bool { return dial() == nil }); err != nil {
		return fmt.Errorf("%w\n%s", err, smap.said())
	}
	if err := smtp.SendMail(smtpAddress, nil, "ann@client.test", []string{"bob@guest.test"}, []byte(letter)); err != nil {
		return fmt.Errorf("%w\n%s", err, smap.said())
	}
	smapd, err := start("/bin/smapd", "-c", table)
	if err != nil {
		return err
	}
	var found []string
	err = await("the message arrives", func() bool {
		found, _ = filepath.Glob(filepath.Join(maildir, "new", "*"))
		return len(found) == 1
	})
	if err != nil {
		return fmt.Errorf("%w\n%s%s", err, smap.said(), smapd.said())
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	if !strings.HasSuffix(string(b), strings.ReplaceAll(letter, "\r\n", "\n")) {
		return fmt.Errorf("it arrived as %q", b)
	}
	return errors.Join(smap.stop(), smapd.stop())
}

func dial() error {
	c, err := net.DialTimeout("tcp", smtpAddress, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = bufio.NewReader(c).ReadString('\n')
	return err
}

// sandboxes prints what smap logs of its sandbox: "sandbox best active=... missing=...".
func sandboxes() error {
	for _, mode := range []string{"best", "strict"} {
		dir, err := os.MkdirTemp("/tmp", "sandbox")
		if err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
		table, err := site(dir, "smap: sandbox "+mode)
		if err != nil {
			return err
		}
		s, err := start("/bin/smap", "-c", table, "-listen", smtpAddress)
		if err != nil {
			return err
		}
		said := func(event string) string {
			for line := range strings.Lines(s.said()) {
				if i := strings.Index(line, event); i >= 0 {
					return strings.TrimSpace(line[i:])
				}
			}
			return ""
		}
		line := ""
		err = await("smap speaks of its sandbox", func() bool {
			line = said("sandbox active=")
			if line == "" && mode == "strict" {
				line = said("strict, but this is missing")
			}
			return line != ""
		})
		if err != nil {
			return fmt.Errorf("%w\n%s", err, s.said())
		}
		fmt.Println("guest: sandbox", mode, line)
		_ = s.stop() // where strict is refused, smap has ended with another status already
	}
	return nil
}
