package lookup

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"smap/internal/jail"
)

// concurrent is how many clients are looked up at once. More of them wait.
const concurrent = 256

// maxNames is how many of an address's reverse names are tried.
const maxNames = 8

// A Finder does the look-ups. The zero value uses the system's resolver and the
// port of RFC 1413.
type Finder struct {
	Resolver  *net.Resolver
	IdentPort int
	Timeout   time.Duration
	// Most is how many questions are answered; 0 is any number.
	Most int
}

// openFiles is how many descriptors the child needs: for each client that is
// looked up, some for questions to name servers and one for its ident server.
const openFiles = 64 + 6*concurrent

// Main is the child: it gives up what it does not need, and answers questions
// from standard input until nobody is left to ask them. It answers most questions
// at most, if that is not 0. sandbox is the table's clause: with strict it ends if
// some part of its sandbox is missing. The result is an exit code.
func Main(most int, sandbox string) int {
	if sandbox != "off" && !confine() && sandbox == "strict" {
		return 1
	}
	Finder{Most: most}.Serve(os.Stdin)
	return 0
}

// confine tells whether every part of the sandbox holds.
func confine() bool {
	dirs := []string{"/etc"}
	// The resolver's file is often a link to somewhere else.
	if real, err := filepath.EvalSymlinks("/etc/resolv.conf"); err == nil && !strings.HasPrefix(real, "/etc/") {
		dirs = append(dirs, filepath.Dir(real))
	}
	_, missing := jail.EnterLookup(jail.LookupNeeds{Dirs: dirs, MaxOpen: openFiles})
	return missing == nil
}

// Serve answers questions until reading or writing fails, or the most that it may
// answer have been asked.
func (f Finder) Serve(conn io.ReadWriter) {
	if f.Resolver == nil {
		f.Resolver = &net.Resolver{PreferGo: true}
	}
	if f.IdentPort == 0 {
		f.IdentPort = 113
	}
	if f.Timeout == 0 {
		f.Timeout = Timeout
	}
	room := make(chan struct{}, concurrent)
	var writing sync.Mutex
	var frame [questionSize]byte
	var answering sync.WaitGroup
	defer answering.Wait()
	for n := 0; f.Most == 0 || n < f.Most; n++ {
		if _, err := io.ReadFull(conn, frame[:]); err != nil {
			return // the asker has ended
		}
		id, q := decodeQuestion(&frame)
		room <- struct{}{}
		answering.Go(func() {
			defer func() { <-room }()
			answer := f.find(q).encode(id)
			writing.Lock()
			defer writing.Unlock()
			_, _ = conn.Write(answer) // an asker that is gone ends the reading, too
		})
	}
}

// find looks for the name and the user at the same time.
func (f Finder) find(q Question) Answer {
	ctx, cancel := context.WithTimeout(context.Background(), f.Timeout)
	defer cancel()
	var a Answer
	var both sync.WaitGroup
	if q.Name {
		both.Go(func() { a.Name = f.name(ctx, q.Client.Addr()) })
	}
	if q.Ident {
		both.Go(func() { a.Ident = f.ident(ctx, q) })
	}
	both.Wait()
	return a
}

// name returns the first reverse name of an address that resolves back to it.
// Who owns an address can give it any name, but not make the name's owner agree.
func (f Finder) name(ctx context.Context, addr netip.Addr) string {
	names, _ := f.Resolver.LookupAddr(ctx, addr.String()) // with names that are malformed it returns the others
	for _, name := range names[:min(len(names), maxNames)] {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if !validName(name) {
			continue
		}
		full := name
		if strings.Contains(name, ".") {
			full += "." // not something below our own domain; the hosts file has single words without it
		}
		back, err := f.Resolver.LookupNetIP(ctx, "ip", full)
		if err != nil {
			continue
		}
		for _, b := range back {
			if b.Unmap() == addr {
				return name
			}
		}
	}
	return ""
}
