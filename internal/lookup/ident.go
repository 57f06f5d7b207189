package lookup

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// maxIdentLine bounds an ident server's answer: RFC 1413 section 6 allows 1000
// octets, all in all.
const maxIdentLine = 1000

// ident asks the client's host who uses the connection, from the address that
// the client talks to: RFC 1413.
func (f Finder) ident(ctx context.Context, q Question) string {
	dialer := net.Dialer{}
	if q.Server.IsValid() {
		dialer.LocalAddr = &net.TCPAddr{IP: q.Server.Addr().AsSlice()}
	}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(q.Client.Addr().String(), strconv.Itoa(f.IdentPort)))
	if err != nil {
		return ""
	}
	defer conn.Close() // nothing of ours is lost
	if end, ok := ctx.Deadline(); ok {
		if conn.SetDeadline(end) != nil {
			return ""
		}
	}
	if _, err := fmt.Fprintf(conn, "%d , %d\r\n", q.Client.Port(), q.Server.Port()); err != nil {
		return ""
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxIdentLine)).ReadString('\n')
	if err != nil {
		return ""
	}
	return identUser(line, q)
}

// identUser returns the user in an answer such as
//
//	6193 , 25 : USERID : UNIX : stjohns
//
// or nothing if it is another answer, about another connection, or malformed.
// A user's name that is not plain is no name.
func identUser(line string, q Question) string {
	field := strings.SplitN(strings.TrimRight(line, "\r\n"), ":", 4)
	if len(field) != 4 || strings.TrimSpace(field[1]) != "USERID" {
		return ""
	}
	ports := strings.Split(field[0], ",")
	if len(ports) != 2 || strings.TrimSpace(ports[0]) != strconv.Itoa(int(q.Client.Port())) ||
		strings.TrimSpace(ports[1]) != strconv.Itoa(int(q.Server.Port())) {
		return ""
	}
	system, _, _ := strings.Cut(strings.TrimSpace(field[2]), ",")
	user := strings.TrimLeft(field[3], " \t")
	if system == "" || !validIdent(system) || !validIdent(user) {
		return ""
	}
	return user
}
