// Package lookup finds out a client's name and user for a process that must not
// touch the network: smap, in its jail.
//
// A child does it (see [Main]), as a user of its own, in a sandbox that leaves it
// the network and the files of /etc, to read. It is started before smap's own jail
// is closed. It is asked over a pair of sockets, in frames of a fixed size that
// hold only addresses and ports, so that neither side parses what a stranger
// chose. The answers are checked again where they arrive.
package lookup

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// Timeout bounds each of both look-ups: the name, and ident. They run at the same
// time.
const Timeout = 2 * time.Second

// A Question is about one connection.
type Question struct {
	Client netip.AddrPort
	Server netip.AddrPort // our end
	Name   bool           // ask for the verified reverse name
	Ident  bool           // ask the client's ident server
}

// An Answer is empty where nothing is known.
type Answer struct {
	Name  string // resolves back to the client's address
	Ident string // the user, as the client's host says (RFC 1413)
}

// Sizes of frames, and of the texts in an answer.
const (
	questionSize = 8 + 1 + 2*18
	maxName      = 253
	maxIdent     = 64
	answerSize   = 8 + 1 + maxName + 1 + maxIdent
)

var errFrame = errors.New("malformed frame")

func (q Question) encode(id uint64) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, questionSize), id)
	var flags byte
	if q.Name {
		flags |= 1
	}
	if q.Ident {
		flags |= 2
	}
	b = append(b, flags)
	for _, at := range []netip.AddrPort{q.Client, q.Server} {
		addr := at.Addr().As16()
		b = binary.BigEndian.AppendUint16(append(b, addr[:]...), at.Port())
	}
	return b
}

func decodeQuestion(b *[questionSize]byte) (uint64, Question) {
	at := func(b []byte) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(b[:16])
		return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(b[16:]))
	}
	return binary.BigEndian.Uint64(b[:]), Question{Name: b[8]&1 != 0, Ident: b[8]&2 != 0, Client: at(b[9:27]), Server: at(b[27:])}
}

func (a Answer) encode(id uint64) []byte {
	b := make([]byte, answerSize)
	binary.BigEndian.PutUint64(b, id)
	b[8] = byte(copy(b[9:9+maxName], a.Name))
	b[9+maxName] = byte(copy(b[10+maxName:], a.Ident))
	return b
}

// decodeAnswer takes an answer apart, and takes nothing that it could not have
// asked for.
func decodeAnswer(b *[answerSize]byte) (id uint64, a Answer, err error) {
	id = binary.BigEndian.Uint64(b[:])
	n, m := int(b[8]), int(b[9+maxName])
	if n > maxName || m > maxIdent {
		return id, a, errFrame
	}
	a = Answer{Name: string(b[9 : 9+n]), Ident: string(b[10+maxName : 10+maxName+m])}
	if a.Name != "" && !validName(a.Name) || a.Ident != "" && !validIdent(a.Ident) {
		return id, a, errFrame
	}
	return id, a, nil
}

// validName is a host's name that can be in a log, a header or a pattern.
func validName(s string) bool {
	if s == "" || len(s) > maxName || s[0] == '-' || s[0] == '.' {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return false // a name that looks like an address is no name
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '.' && s[i-1] != '.':
		default:
			return false
		}
	}
	return true
}

// validIdent is a user's name of visible ASCII characters.
func validIdent(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxIdent
}
