//go:build system

package hostile

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestDifferential sends the same octets to smap, Postfix and Exim, and compares what each takes for the end of a message
// and for a command. The octets are those of every smuggling test and a few hundred made of the pieces that matter.
//
// What smap accepts, the others must understand in the very same way: else somebody could smuggle mail past one of
// them. What smap refuses they may treat as they like; each way is named and explained in the table below, and one
// that is not there fails the test, as does an explanation that nothing needs any more.
func TestDifferential(t *testing.T) {
	t.Parallel()
	p := kit.NewPeer(t, "smap: maxperclient 500", "smap: maxerrors 100")
	others := map[string]int{"Postfix": differentialPostfix(t, p), "Exim": differentialExim(t, p)}
	seen := make(map[string]int)
	var mu sync.Mutex
	var wait sync.WaitGroup
	streams := make(chan stream)
	for range 4 {
		wait.Go(func() {
			for s := range streams {
				ours, err := s.send(p.Port)
				if err != nil {
					t.Errorf("smap: %q: %v", s.text, err)
				}
				for name, port := range others {
					theirs, err := s.send(port)
					if err != nil {
						t.Errorf("%s: %q: %v", name, s.text, err)
						continue
					}
					class := s.difference(name, ours, theirs)
					if _, known := differences()[class]; !known {
						t.Errorf("%s: %q: smap says %v, %s %v", class, s.text, ours, name, theirs)
					}
					mu.Lock()
					seen[class]++
					mu.Unlock()
				}
			}
		})
	}
	n := 0
	for s := range allStreams() {
		streams <- s
		n++
	}
	close(streams)
	wait.Wait()
	for class, why := range differences() {
		t.Logf("%5d %s: %s", seen[class], class, why)
		if seen[class] == 0 {
			t.Errorf("no stream shows any more: %s", class)
		}
	}
	t.Logf("%d streams", n)
}

// differences says why others answer as they do.
func differences() map[string]string {
	const (
		reads  = "what smap refuses with 550 and hangs up at, others put up with and read on"
		octet  = "CR that is not before LF is an octet like others there; a header's reader may see it differently"
		ends   = "LF alone ends a line there, by default: a dot between two of them, or before CR LF, ends a message. This is smuggling"
		late   = "the message ended well, and what smap refuses stands among the commands after it or in the next message"
		strict = "the message is one there too: smap refuses it because the next server may see two"
		nul    = "NUL is an octet like others there, or is dropped"
	)
	table := map[string]string{
		same: "where messages and commands end, and which are accepted",
		"Postfix, NUL in a command: other replies":                         "Postfix reads a command up to NUL and carries it out; smap refuses the line",
		"Postfix, a blank before a command: carried out":                   "Postfix skips it; smap knows no such command",
		"Postfix, a field of a header in the place of a command: hangs up": "a guard of Postfix against browsers and the like; smap counts bad commands",
	}
	for _, name := range []string{"Postfix", "Exim"} {
		for what, why := range map[string]string{
			"CR in a command: goes on": reads, "LF in a command: goes on": reads, "NUL in a command: goes on": reads,
			"LF in a content: goes on": reads, "NUL in a content: goes on": reads,
			"CR in a content: takes it as a message": octet, "LF in a content: takes it as a message": strict, "NUL in a content: takes it as a message": nul,
			"LF in a content: splits it in two messages": ends, "CR in a content: splits it in two messages": late, "NUL in a content: splits it in two messages": late,
		} {
			table[name+", "+what] = why
		}
	}
	table["Exim, CR in a content: goes on"] = reads
	return table
}

// A stream is what a client sends in one piece, after 354 or in the place of a command.
type stream struct {
	data bool
	text string
}

const follow = "MAIL FROM:<mallory@client.test>\r\nRCPT TO:<smuggled@system.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nbody"

// allStreams are the known attacks, then random ones, the same at every run.
func allStreams() func(yield func(stream) bool) {
	random := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"\r\n", "\r\n", "\n", "\r", ".", ".", "..", "\x00", "text", " ", "\r\n.\r\n", "RSET\r\n", "NOOP\r\n"}
	wild := func(from []string) string {
		var b strings.Builder
		for range 1 + random.IntN(6) {
			b.WriteString(from[random.IntN(len(from))])
		}
		return b.String()
	}
	return func(yield func(stream) bool) {
		for _, ending := range endings {
			if !yield(stream{true, "outer" + ending + follow}) {
				return
			}
		}
		for range 100 {
			if !yield(stream{true, "outer" + wild(pieces) + follow}) || !yield(stream{true, "outer" + wild(slices.Delete(slices.Clone(pieces), 2, 4)) + follow}) ||
				!yield(stream{false, "NOOP" + wild(pieces) + "RSET"}) {
				return
			}
		}
	}
}

// send plays one session and returns the codes of the replies after the part that is the same for all.
func (s stream) send(port int) (codes []string, err error) {
	conn, err := net.DialTimeout("tcp", kit.Local(port), 10*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	in := replies{conn: conn}
	first := []string{"EHLO client.test"}
	last := "\r\nQUIT\r\n"
	if s.data {
		first = append(first, "MAIL FROM:<ann@client.test>", "RCPT TO:<bob@system.test>", "DATA")
		last = "\r\n.\r\nQUIT\r\n"
	}
	if code, err := in.next(); code != "220" {
		return nil, fmt.Errorf("greeting %s: %w", code, err)
	}
	for _, line := range first {
		if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
			return nil, err
		}
		if code, err := in.next(); code != "250" && code != "354" {
			return nil, fmt.Errorf("%s: %s: %w", line, code, err)
		}
	}
	// A server that hangs up in the middle has said why before.
	_, _ = io.WriteString(conn, s.text+last)
	for {
		code, err := in.next()
		if errors.Is(err, io.EOF) || code == "" && !errors.Is(err, errSlow) {
			return codes, nil
		}
		if err != nil {
			return codes, err
		}
		codes = append(codes, code)
		if code == "221" || code == "421" {
			return codes, nil
		}
	}
}

var errSlow = errors.New("no reply in time")

// replies reads the codes of replies.
type replies struct {
	conn net.Conn
	text string
}

func (r *replies) next() (string, error) {
	for {
		for {
			line, rest, ok := strings.Cut(r.text, "\n")
			if !ok {
				break
			}
			r.text = rest
			if len(line) >= 4 && line[3] != '-' {
				return line[:3], nil
			}
		}
		buf := make([]byte, 4096)
		n, err := r.conn.Read(buf)
		r.text += string(buf[:n])
		var slow net.Error
		switch {
		case n > 0:
		case errors.As(err, &slow) && slow.Timeout():
			return "", errSlow
		case err != nil:
			return "", err
		}
	}
}

// difference names what two servers make of a stream. Which code an unknown command gets is no matter; where messages
// and commands end is.
func (s stream) difference(name string, ours, theirs []string) string {
	where := map[bool]string{true: "content", false: "command"}[s.data]
	shape := func(codes []string) string {
		var b strings.Builder
		for _, c := range codes {
			b.WriteByte(c[0])
		}
		return b.String()
	}
	if refused(ours) {
		what := "goes on"
		switch more := accepted(theirs) - accepted(ours); {
		case s.data && more > 1:
			what = "splits it in two messages"
		case s.data && more == 1:
			what = "takes it as a message"
		}
		return name + ", " + s.odd() + " in a " + where + ": " + what
	}
	if shape(ours) == shape(theirs) {
		return same
	}
	if strings.Contains(s.text, "\x00") {
		return name + ", NUL in a command: other replies"
	}
	if strings.Contains(s.text, "\r\n ") {
		return name + ", a blank before a command: carried out"
	}
	if s.data && len(theirs) < len(ours) && theirs[len(theirs)-1] == "221" {
		return name + ", a field of a header in the place of a command: hangs up"
	}
	return name + ", " + where + ": " + shape(ours) + " and " + shape(theirs)
}

const same = "all the same"

// refused: smap has said that a line has no CR LF, or has NUL, and hung up.
func refused(codes []string) bool { return len(codes) > 0 && codes[len(codes)-1] == "550" }

// accepted is how many messages were taken: a message is what has a 354 before, the first of them before the stream.
func accepted(codes []string) int {
	n, data := 0, true
	for _, c := range codes {
		if data && c == "250" {
			n++
		}
		data = c == "354"
	}
	return n
}

// odd is the first thing in a stream that is no line end and no text.
func (s stream) odd() string {
	text := strings.ReplaceAll(s.text, "\r\n", "")
	i := strings.IndexAny(text, "\r\n\x00")
	if i < 0 {
		return "nothing odd"
	}
	return map[byte]string{'\r': "CR", '\n': "LF", 0: "NUL"}[text[i]]
}

// differentialPostfix starts Postfix as it comes, but for hanging up on words that are no commands.
func differentialPostfix(t *testing.T, p *kit.Peer) int {
	port := kit.FreePort(t)
	kit.StartPostfix(t, p.Site, "mydestination =\nrelay_domains = system.test\nrelay_transport = discard:\nsmtpd_recipient_restrictions = permit\n"+
		"smtpd_peername_lookup = no\nsmtpd_hard_error_limit = 100\nsmtpd_forbidden_commands =\nsmtpd_soft_error_limit = 100\nsmtpd_client_connection_count_limit = 0",
		fmt.Sprintf("%s inet n - n - - smtpd", kit.Local(port)))
	kit.Listening(t, port)
	return port
}

const differentialEximConf = `
primary_hostname = mx.system.test
keep_environment =
log_file_path = /var/log/exim4/%slog
acl_smtp_rcpt = all
acl_smtp_data = all
host_lookup =
smtp_enforce_sync = false
smtp_accept_max_per_connection = 100
smtp_max_synprot_errors = 100
smtp_max_unknown_commands = 100
rfc1413_query_timeout = 0s
queue_only = true
begin acl
all:
  accept
`

// differentialExim starts Exim as it comes, but for the patience with clients that do not wait: smap is patient too.
func differentialExim(t *testing.T, p *kit.Peer) int {
	r := kit.NewRoot(t, p.Site, "exim4-daemon-light")
	uid, gid := r.Account("Debian-exim")
	for _, dir := range []string{"var/spool/exim4", "var/log/exim4"} {
		p.Mkdir(r.Path(dir), 0o750, uid, gid)
	}
	port := kit.FreePort(t)
	p.Write(r.Path("etc/exim4/exim4.conf"), differentialEximConf, 0o644)
	kit.StartCommand(t, r.Command("/usr/sbin/exim4", "-bdf", "-oX", fmt.Sprintf("127.0.0.1.%d", port)))
	kit.Listening(t, port)
	return port
}
