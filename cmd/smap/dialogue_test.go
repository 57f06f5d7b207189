package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"smap/internal/scripttest"
)

// patience is how long a server may take for anything.
const patience = 20 * time.Second

// A client is one end of a connection.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func newClient(conn net.Conn) *client { return &client{conn, bufio.NewReader(conn)} }

// dialogue is what the client says and what it has to hear.
func (c *client) dialogue(text string) error {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if err := c.step(line); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
	}
	return nil
}

func (c *client) step(line string) error {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "C:", "C:-":
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(rest, `"`, `\"`) + `"`)
		if err != nil {
			return err
		}
		if word == "C:" {
			text += "\r\n"
		}
		_, err = io.WriteString(c.conn, text)
		return err
	case "S:", "S~":
		got, err := c.in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("%w after %q", err, got)
		}
		if word == "S:" && got != rest+"\r\n" || word == "S~" && !strings.HasPrefix(got, rest) {
			return fmt.Errorf("the server says %q", got)
		}
		return nil
	case "end":
		got, err := io.ReadAll(c.in)
		if err != nil || len(got) > 0 {
			return fmt.Errorf("instead of an end %q, %w", got, err)
		}
		return nil
	case "wait":
		d, err := time.ParseDuration(rest)
		time.Sleep(d)
		return err
	case "", "#":
		return nil
	}
	return errors.New("no line of a dialogue")
}

// clients are the clients of scripts, by script and name.
type clients struct {
	mu   sync.Mutex
	open map[string]*client
	last map[string]int // exit codes
}

// inetd runs smap with a connection as its standard descriptors.
func (c *clients) inetd(ts *testscript.TestScript, neg bool, args []string) {
	ours, theirs, err := connection()
	ts.Check(err)
	defer ours.Close()
	systemd := args[0] == "-systemd"
	if systemd {
		args = args[1:]
	}
	cmd := command(ts, args[2:])
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	if systemd {
		activate(cmd, theirs)
	}
	if args[1] != "-" {
		log, err := os.OpenFile(ts.MkAbs(args[1]), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		ts.Check(err)
		defer log.Close()
		cmd.Stderr = log
	}
	ts.Check(cmd.Start())
	ts.Check(theirs.Close())
	talked := newClient(ours).dialogue(ts.ReadFile(args[0]))
	ours.Close()
	err = cmd.Wait()
	if talked != nil {
		ts.Fatalf("%v; smap: %v\n%s", talked, err, scripttest.Read(ts, args[1]))
	}
	if (err != nil) != neg {
		ts.Fatalf("smap: %v\n%s", err, scripttest.Read(ts, args[1]))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = make(map[string]int)
	}
	c.last[ts.Name()] = cmd.ProcessState.ExitCode()
}

// command makes the command of smap.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	cmd := exec.Command(ts.Getenv("SMAP"), args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH")}
	return cmd
}

// activate passes a socket as systemd does. A shell knows the pid in time.
func activate(cmd *exec.Cmd, socket *os.File) {
	cmd.Args = append([]string{"sh", "-c", `export LISTEN_PID=$$; exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.Env = append(cmd.Env, "LISTEN_FDS=1")
	cmd.Stdin, cmd.Stdout = nil, nil
	cmd.ExtraFiles = []*os.File{socket}
}

// listening runs smap with a listening socket, until it ends by itself or the
// script does.
func (c *clients) listening(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	ts.Check(err)
	log, err := os.OpenFile(ts.MkAbs(args[2]), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	ts.Check(err)
	defer log.Close()
	cmd := command(ts, args[3:])
	cmd.Stdin, cmd.Stderr = socket, log
	if args[0] == "systemd" {
		activate(cmd, socket)
	}
	ts.Check(cmd.Start())
	ts.Check(socket.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600))
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	ts.Defer(func() {
		_ = cmd.Process.Kill() // it may be gone
		<-done
	})
}

func (c *clients) code(ts *testscript.TestScript, _ bool, args []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := strconv.Itoa(c.last[ts.Name()]); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// connection makes a TCP connection: our end, and the server's as a file.
func connection() (net.Conn, *os.File, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	ours, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	conn, err := l.Accept()
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	theirs, err := conn.(*net.TCPConn).File()
	return ours, theirs, err
}

// dial connects to the server whose log this is, at the last address there.
func dial(ts *testscript.TestScript, log string) *client {
	const event = ": listen address="
	scripttest.Logged(ts, false, []string{log, event})
	text := ts.ReadFile(log)
	address := strings.Fields(text[strings.LastIndex(text, event)+len(event):])[0]
	conn, err := net.Dial("tcp", address)
	ts.Check(err)
	return newClient(conn)
}

func (c *clients) talk(ts *testscript.TestScript, _ bool, args []string) {
	client := dial(ts, args[0])
	defer client.conn.Close()
	if err := client.dialogue(ts.ReadFile(args[1])); err != nil {
		ts.Fatalf("%v\n%s", err, scripttest.Read(ts, args[0]))
	}
}

func (c *clients) connect(ts *testscript.TestScript, _ bool, args []string) {
	client := dial(ts, args[1])
	ts.Defer(func() { client.conn.Close() })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[ts.Name()+" "+args[0]] = client
}

// served connects until there is room.
func (c *clients) served(ts *testscript.TestScript, _ bool, args []string) {
	scripttest.Wait(ts, "a greeting", func() bool {
		client := dial(ts, args[1])
		if client.step("S~ 220 ") != nil {
			client.conn.Close()
			return false
		}
		ts.Defer(func() { client.conn.Close() })
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open[ts.Name()+" "+args[0]] = client
		return true
	})
}

func (c *clients) named(ts *testscript.TestScript, name string) *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	client := c.open[ts.Name()+" "+name]
	if client == nil {
		ts.Fatalf("no connection %s", name)
	}
	return client
}

// says has a piece of dialogue with an open connection.
func (c *clients) says(ts *testscript.TestScript, _ bool, args []string) {
	if err := c.named(ts, args[0]).dialogue(strings.Join(args[1:], "\n")); err != nil {
		ts.Fatalf("%v", err)
	}
}

func (c *clients) close(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(c.named(ts, args[0]).conn.Close())
}
