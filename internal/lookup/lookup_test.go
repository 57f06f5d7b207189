//go:build !lean

package lookup

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// zone is a DNS server's whole knowledge: "PTR 4.3.2.1.in-addr.arpa." or
// "A name." to the data of its records. What is not in it does not exist; a name
// that is "slow." in it gets no answer.
type zone map[string][]string

// resolver asks a server that knows the zone, over TCP on a pipe.
func (z zone) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go z.serve(theirs)
		return ours, nil
	}}
}

func (z zone) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, b); err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(b) != nil || len(m.Questions) != 1 {
			return
		}
		if answer := z.answer(m); answer != nil {
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
		}
	}
}

func (z zone) answer(m dnsmessage.Message) []byte {
	q := m.Questions[0]
	data, ok := z[strings.TrimPrefix(q.Type.String(), "Type")+" "+strings.ToLower(q.Name.String())]
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true}
	m.Additionals = nil
	if !ok {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, d := range data {
		r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}}
		switch q.Type {
		case dnsmessage.TypePTR:
			if d == "slow." {
				return nil
			}
			r.Body = &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(d)}
		case dnsmessage.TypeA:
			r.Body = &dnsmessage.AResource{A: netip.MustParseAddr(d).As4()}
		case dnsmessage.TypeAAAA:
			r.Body = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(d).As16()}
		}
		m.Answers = append(m.Answers, r)
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

var world = zone{
	"PTR 1.2.0.192.in-addr.arpa.": {"Mail.Example.COM."},
	"A mail.example.com.":         {"192.0.2.99", "192.0.2.1"},
	"PTR 2.2.0.192.in-addr.arpa.": {"mail.example.com."}, // a lie
	"PTR 3.2.0.192.in-addr.arpa.": {"nowhere.example.com."},
	"PTR 4.2.0.192.in-addr.arpa.": {"liar.example.com.", "true.example.com."},
	"A liar.example.com.":         {"192.0.2.77"},
	"A true.example.com.":         {"192.0.2.4"},
	"PTR 5.2.0.192.in-addr.arpa.": {"slow."},
	"PTR 6.2.0.192.in-addr.arpa.": {"192.0.2.6."},
	"A 192.0.2.6.":                {"192.0.2.6"},
	"PTR 7.2.0.192.in-addr.arpa.": {"under_score.example.com."},
	"A under_score.example.com.":  {"192.0.2.7"},
	"PTR 9.2.0.192.in-addr.arpa.": {"v4only.example.com."},
	"AAAA v4only.example.com.":    {"2001:db8::9"},
	"PTR 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.": {"six.example.com."},
	"AAAA six.example.com.": {"2001:db8::1"},
}

// start starts a finder in this process, behind a real pair of sockets.
func start(t *testing.T, f Finder) *Client {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	var serving sync.WaitGroup
	serving.Go(func() {
		f.Serve(theirs)
		theirs.Close()
	})
	t.Cleanup(func() {
		ours.Close()
		serving.Wait()
	})
	return NewClient(ours)
}

func from(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), 4711) }

func TestNames(t *testing.T) {
	c := start(t, Finder{Resolver: world.resolver(), Timeout: time.Second})
	var all sync.WaitGroup
	for addr, want := range map[string]string{
		"192.0.2.1":   "mail.example.com",
		"192.0.2.2":   "",
		"192.0.2.3":   "",
		"192.0.2.4":   "true.example.com",
		"192.0.2.5":   "", // no answer
		"192.0.2.6":   "", // an address is no name
		"192.0.2.7":   "under_score.example.com",
		"192.0.2.8":   "",
		"192.0.2.9":   "",
		"2001:db8::1": "six.example.com",
	} {
		all.Go(func() {
			a, err := c.Ask(Question{Client: from(addr), Name: true})
			if err != nil || a.Name != want || a.Ident != "" {
				t.Errorf("%s: %+v, %v; want %q", addr, a, err, want)
			}
		})
	}
	all.Wait()
}

// identd answers every question with what f makes of it.
func identd(t *testing.T, f func(question string) string) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 100)
			n, _ := conn.Read(b)
			_, _ = io.WriteString(conn, f(string(b[:n])))
			conn.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func TestIdent(t *testing.T) {
	asked := make(chan string, 1)
	port := identd(t, func(q string) string {
		asked <- q
		return "4711 , 25 : USERID : UNIX : stjohns\r\n"
	})
	c := start(t, Finder{IdentPort: port})
	q := Question{Client: from("127.0.0.1"), Server: netip.MustParseAddrPort("127.0.0.1:25"), Ident: true}
	a, err := c.Ask(q)
	if err != nil || a.Ident != "stjohns" || a.Name != "" {
		t.Errorf("%+v, %v", a, err)
	}
	if got := <-asked; got != "4711 , 25\r\n" {
		t.Errorf("the question was %q", got)
	}
}

// Neither a server that is silent, nor one that talks for ever, nor none holds us
// up.
func TestIdentTrouble(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	none := closed.Addr().(*net.TCPAddr).Port
	closed.Close()
	for _, port := range []int{
		none, silent.Addr().(*net.TCPAddr).Port,
		identd(t, func(string) string { return strings.Repeat("4711 , 25 : USERID : UNIX : ", 100000) }),
		identd(t, func(string) string { return "4711 , 25 : USERID : UNIX : stjohns" }), // no end
	} {
		c := start(t, Finder{IdentPort: port, Timeout: 200 * time.Millisecond})
		began := time.Now()
		a, err := c.Ask(Question{Client: from("127.0.0.1"), Server: netip.MustParseAddrPort("127.0.0.1:25"), Ident: true})
		if err != nil || a != (Answer{}) || time.Since(began) > patience {
			t.Errorf("%+v, %v after %v", a, err, time.Since(began))
		}
	}
}

func TestIdentUser(t *testing.T) {
	q := Question{Client: from("192.0.2.1"), Server: netip.MustParseAddrPort("192.0.2.25:25")}
	for line, want := range map[string]string{
		"4711 , 25 : USERID : UNIX : stjohns\r\n":                         "stjohns",
		"4711,25:USERID:UNIX:stjohns\r\n":                                 "stjohns",
		"4711, 25 : USERID : UNIX,US-ASCII : stjohns\n":                   "stjohns",
		"4711 , 25 : USERID : OTHER : a:b\r\n":                            "a:b",
		"4711 , 25 : USERID : UNIX :\r\n":                                 "",
		"4711 , 25 : USERID : UNIX : two words\r\n":                       "",
		"4711 , 25 : USERID : UNIX : x\x1b[2J\r\n":                        "",
		"4711 , 25 : USERID : UNIX : gr\u00fcn\r\n":                       "",
		"4711 , 25 : USERID : UNIX : " + strings.Repeat("x", 65) + "\r\n": "",
		"4711 , 25 : USERID : : stjohns\r\n":                              "",
		"4711 , 25 : ERROR : NO-USER\r\n":                                 "",
		"4712 , 25 : USERID : UNIX : stjohns\r\n":                         "",
		"4711 , 26 : USERID : UNIX : stjohns\r\n":                         "",
		"25 , 4711 : USERID : UNIX : stjohns\r\n":                         "",
		"4711 : USERID : UNIX : stjohns\r\n":                              "",
		"04711 , 25 : USERID : UNIX : stjohns\r\n":                        "",
		"USERID\r\n": "", "\r\n": "", "": "", ":::": "",
	} {
		if got := identUser(line, q); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestFrames(t *testing.T) {
	for _, q := range []Question{
		{Client: from("192.0.2.1"), Server: netip.MustParseAddrPort("192.0.2.25:25"), Name: true},
		{Client: from("2001:db8::1"), Server: netip.MustParseAddrPort("[2001:db8::2]:2525"), Ident: true},
		{Client: from("::1"), Server: netip.MustParseAddrPort("[::1]:1"), Name: true, Ident: true},
	} {
		id, got := decodeQuestion((*[questionSize]byte)(q.encode(7)))
		if id != 7 || got != q {
			t.Errorf("%+v became %+v", q, got)
		}
	}
	for _, a := range []Answer{{}, {Name: "a.example"}, {Name: strings.Repeat("n", maxName), Ident: strings.Repeat("i", maxIdent)}} {
		id, got, err := decodeAnswer((*[answerSize]byte)(a.encode(9)))
		if err != nil || id != 9 || got != a {
			t.Errorf("%+v became %+v, %v", a, got, err)
		}
	}
	bad := [][]byte{
		Answer{Name: "A.example"}.encode(1), Answer{Name: "a\nb"}.encode(1), Answer{Name: "a..b"}.encode(1),
		Answer{Name: "-a"}.encode(1), Answer{Name: "192.0.2.1"}.encode(1), Answer{Ident: "a b"}.encode(1), Answer{Ident: "\x00"}.encode(1),
	}
	long := Answer{}.encode(1)
	long[8] = 254
	wide := Answer{}.encode(1)
	wide[9+maxName] = 65
	for _, b := range append(bad, long, wide) {
		if _, a, err := decodeAnswer((*[answerSize]byte)(b)); !errors.Is(err, errFrame) {
			t.Errorf("%q: %+v, %v", b, a, err)
		}
	}
}

// A child that is gone, or that answers nonsense, is an error for everybody, and
// nobody waits.
func TestBrokenChild(t *testing.T) {
	for name, says := range map[string][]byte{"gone": nil, "half": make([]byte, 10), "nonsense": make([]byte, answerSize)} {
		if name == "nonsense" {
			says[8] = 255
		}
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.SetNonblock(fds[0], true); err != nil {
			t.Fatal(err)
		}
		theirs := os.NewFile(uintptr(fds[1]), "theirs")
		ours := os.NewFile(uintptr(fds[0]), "ours")
		c := NewClient(ours)
		go func() {
			_, _ = io.ReadFull(theirs, make([]byte, questionSize))
			_, _ = theirs.Write(says)
			theirs.Close()
		}()
		for range 2 {
			began := time.Now()
			if a, err := c.Ask(Question{Client: from("192.0.2.1"), Name: true}); err == nil || a != (Answer{}) {
				t.Errorf("%s: %+v, %v", name, a, err)
			}
			if time.Since(began) > patience/2 {
				t.Errorf("%s: that took %v", name, time.Since(began))
			}
		}
		ours.Close()
	}
}

func TestStartFails(t *testing.T) {
	if _, err := Start("/nowhere/smap", nil, 1, 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestOneQuestion: the child of a process for one connection answers one question,
// so that an attacker who owns that process cannot have it ask more.
func TestOneQuestion(t *testing.T) {
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		Finder{Most: 1}.Serve(theirs)
		theirs.Close()
	}()
	question := Question{Client: netip.MustParseAddrPort("192.0.2.1:1"), Server: netip.MustParseAddrPort("192.0.2.2:25")}
	if _, err := ours.Write(question.encode(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(ours, make([]byte, answerSize)); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Write(question.encode(2)); err == nil {
		t.Error("a second question was taken")
	}
	<-done
}
