package receiver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write what the dialogues in testdata/smtp are, instead of comparing; then read the difference")

// TestDialogues runs testdata/smtp/*.txtar. The comment of each is what it
// shows, then the session's configuration, by the clauses of a netperm-table
// and a few more (see options). In the dialogue
//
//	C: LINE    the client sends the line and CR LF
//	R: TEXT    it sends the text as it is, with Go's escapes
//	S: LINE    the server says exactly this, an id replaced by ID
//	TLS        the client begins TLS
//	PLAINTEXT  it ends TLS, and sends what follows without
//	STOP       the server is told to end
//	SHUT       the client says that it will send no more
//	EOF        the server closes the connection
//
// C*N, R*N and S*N stand for N of them. What the client sends between two
// replies is sent at once. Where EOF is not the last line the client vanishes.
//
// The files N.envelope and N.eml are the messages in new/ afterwards, and log
// is what was logged; -update writes both and the replies.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("../testdata/smtp/*.txtar")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d dialogues: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, archive)
			if *update {
				if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(archive)), string(txtar.Format(got))); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

// play runs a dialogue and returns the archive as it should have been.
func play(t *testing.T, a *txtar.Archive) *txtar.Archive {
	s := newStage(t)
	options(t, s, string(a.Comment))
	if len(a.Files) == 0 || a.Files[0].Name != "dialogue" {
		t.Fatal("the first file is not the dialogue")
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	conn, wait := s.connect(ctx)
	c := &actor{t: t, socket: conn, conn: conn, in: bufio.NewReader(conn), stop: stop, silence: 2 * time.Second}
	if s.config.Timeout < patience {
		c.silence += s.config.Timeout
	}
	for line := range strings.Lines(string(a.Files[0].Data)) {
		c.act(strings.TrimSuffix(line, "\n"))
	}
	c.send()
	if c.sent != nil {
		<-c.sent
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	wait()
	s.nothingLeft()
	got := &txtar.Archive{Comment: a.Comment, Files: []txtar.File{{Name: "dialogue", Data: c.script.Bytes()}}}
	for i, m := range s.messages() {
		got.Files = append(got.Files,
			txtar.File{Name: fmt.Sprint(i+1, ".envelope"), Data: []byte(m.envelope)},
			txtar.File{Name: fmt.Sprint(i+1, ".eml"), Data: []byte(m.content)})
	}
	got.Files = append(got.Files, txtar.File{Name: "log", Data: []byte(s.events())})
	return got
}

// options reads the configuration of a dialogue.
func options(t *testing.T, s *stage, comment string) {
	c := &s.config
	number := func(v string) int64 {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var spool testSpool
	known := map[string]func(v string){
		"hostname":     func(v string) { c.Hostname = v },
		"maxbytes":     func(v string) { c.MaxBytes = number(v) },
		"maxrecip":     func(v string) { c.MaxRecip = int(number(v)) },
		"maxerrors":    func(v string) { c.MaxErrors = int(number(v)) },
		"minfree":      func(v string) { c.MinFree = uint64(number(v)) },
		"min-rate":     func(v string) { c.MinRate = number(v) },
		"milliseconds": func(v string) { c.Timeout = time.Duration(number(v)) * time.Millisecond },
		"offer":        func(v string) { c.OfferDSN, c.OfferUTF8 = strings.Contains(v, "dsn"), strings.Contains(v, "smtputf8") },
		"tls":          func(string) { c.StartTLS = serverTLS(t) },
		"tls-required": func(string) { c.RequireTLS = true },
		"local-domain": func(v string) { c.Local = func(d string) bool { return d == v } },
		"recipients": func(v string) {
			known := func(a string) (bool, error) {
				if strings.HasPrefix(a, "error") {
					return false, unix.EIO
				}
				return strings.Contains(" "+v+" ", " "+strings.ToLower(a)+" "), nil
			}
			c.Known = func() func(string) (bool, error) { return known }
		},
		"relay":       func(string) { s.client.Relay = true },
		"greet-delay": func(v string) { c.GreetDelay = time.Duration(number(v)) * time.Millisecond },
		"lenient":     func(string) { s.client.Lenient = true },
		"client":      func(v string) { s.client.Addr = netip.MustParseAddr(v) },
		"local":       func(string) { s.client.Addr = netip.Addr{} },
		"name":        func(v string) { s.client.Name = v },
		"ident":       func(v string) { s.client.Ident = v },
		"free":        func(v string) { spool.bytes = uint64(number(v)) },
		"inodes":      func(v string) { spool.inodes = uint64(number(v)) },
		"fail":        func(v string) { spool.step, spool.err = v, unix.ENOSPC },
	}
	for line := range strings.Lines(comment) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(line, " ")
		set := known[name]
		if set == nil {
			t.Fatalf("unknown option %q", line)
		}
		set(value)
	}
	if spool != (testSpool{}) {
		spool.Spool = c.Spool
		c.Spool = &spool
	}
}

// An actor plays a client.
type actor struct {
	t      *testing.T
	socket *os.File
	conn   Conn
	in     *bufio.Reader
	stop   func()
	script bytes.Buffer // what was said, by both
	batch  bytes.Buffer // to send before the next reply
	sent   chan struct{}
	saying bool // the server's lines have been taken from it, by -update

	silence time.Duration // after which the server has said what it has to say
}

func (c *actor) act(line string) {
	c.t.Helper()
	verb, times, text := cutLine(line)
	if verb != "S" {
		c.saying = false
		fmt.Fprintln(&c.script, line)
	}
	switch verb {
	case "C", "R":
		c.batch.WriteString(strings.Repeat(text, times))
	case "S":
		c.send()
		if *update {
			c.learn()
			return
		}
		c.hear(times)
	case "TLS":
		c.send()
		<-c.sent
		c.secure()
	case "PLAINTEXT":
		c.send()
		<-c.sent
		if err := c.conn.(*tls.Conn).CloseWrite(); err != nil {
			c.t.Fatal(err)
		}
		c.conn = c.socket
	case "STOP":
		c.send()
		c.stop()
	case "SHUT":
		c.send()
		<-c.sent
		c.shut()
	case "EOF":
		c.send()
		if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
			c.t.Errorf("at the end: %q, %v", rest, err)
		}
	default:
		c.t.Fatalf("what is %q?", line)
	}
}

// cutLine takes a line of a dialogue apart; text is what the client sends.
func cutLine(line string) (verb string, times int, text string) {
	verb, text, _ = strings.Cut(line, ": ")
	verb, n, repeated := strings.Cut(strings.TrimSuffix(verb, ":"), "*")
	times = 1
	var err error
	if repeated {
		times, err = strconv.Atoi(n)
	}
	switch verb {
	case "C":
		text += "\r\n"
	case "R":
		var uerr error
		text, uerr = strconv.Unquote(`"` + text + `"`)
		err = errors.Join(err, uerr)
	}
	if err != nil {
		panic(fmt.Sprint(line, ": ", err))
	}
	return verb, times, text
}

// hear takes n reply lines, all alike.
func (c *actor) hear(n int) {
	c.t.Helper()
	said := ""
	for i := range n {
		line, err := c.in.ReadString('\n')
		line, ok := strings.CutSuffix(line, "\r\n")
		line = anID.ReplaceAllString(line, "ID")
		if err != nil || !ok {
			c.t.Fatalf("reading a reply: %q, %v\nafter\n%s", line, err, c.script.String())
		}
		if i > 0 && line != said {
			c.t.Errorf("reply %d of %d is %q, the others %q", i+1, n, line, said)
		}
		said = line
	}
	c.heard(said, n)
}

// heard writes n reply lines into the script.
func (c *actor) heard(line string, n int) {
	switch {
	case n == 1:
		fmt.Fprintf(&c.script, "S: %s\n", line)
	case n > 1:
		fmt.Fprintf(&c.script, "S*%d: %s\n", n, line)
	}
}

// learn takes what the server says until it is silent.
func (c *actor) learn() {
	if c.saying {
		return
	}
	c.saying = true
	deadline := func(d time.Duration) {
		if err := c.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
			c.t.Fatal(err)
		}
	}
	defer deadline(patience)
	last, n := "", 0
	for {
		deadline(c.silence)
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.heard(last, n)
			return
		}
		line = anID.ReplaceAllString(strings.TrimSuffix(line, "\r\n"), "ID")
		if line == last {
			n++
			continue
		}
		c.heard(last, n)
		last, n = line, 1
	}
}

// send writes the batch while replies are read.
func (c *actor) send() {
	if c.batch.Len() == 0 && c.sent != nil {
		return
	}
	if c.sent != nil {
		<-c.sent
	}
	c.sent = make(chan struct{})
	b := bytes.Clone(c.batch.Bytes())
	c.batch.Reset()
	go func(conn Conn) {
		defer close(c.sent)
		_, _ = conn.Write(b) // a server that has closed is seen in what is read
	}(c.conn)
}

func (c *actor) shut() {
	raw, err := c.socket.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_WR) }), err)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *actor) secure() {
	if c.in.Buffered() > 0 {
		c.t.Error("the server said more before TLS")
	}
	secure := tls.Client(pipe{c.socket}, clientTLS(c.t))
	if err := secure.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.in = secure, bufio.NewReader(secure)
}
