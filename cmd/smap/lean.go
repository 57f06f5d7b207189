//go:build lean

package main

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"smap/internal/sockets"
	"smap/netperm"
	"smap/receiver"
)

// The lean program is what inetd starts for each connection: it has linked what
// one session in plain needs, since everything else costs every start. The
// whole one stands beside it.
const whole = "-server"

// onlyOne is the runtime's setting of one processor, which the lean program gives
// itself where it can (entry_linux_amd64.s): a session is one goroutine. It is
// written as nobody else writes it, since the whole program must not have it.
const onlyOne = "GOMAXPROCS=01"

// handOver replaces this program by the whole one where the command line, the
// descriptors or the table, once it is read, ask for TLS, for look-ups or for
// more than one session.
func handOver(o options, t *netperm.Table) error {
	if t == nil && !o.check && !o.lookup && o.child == 0 && len(o.listen) == 0 && sockets.Passed() == 0 && !sockets.Listening(0) {
		return nil
	}
	if t != nil && !t.Has(netperm.TLSCert) && !t.Bool(netperm.Names) && !t.Bool(netperm.Ident) {
		return nil
	}
	program, err := os.Executable()
	if err == nil {
		env := slices.DeleteFunc(os.Environ(), func(s string) bool { return s == onlyOne })
		err = unix.Exec(program+whole, os.Args, env)
	}
	return fmt.Errorf("%s%s: %w; it has to stand beside smap, where make install puts it", program, whole, err)
}

// startTLS and lookupMain are never reached: handOver has replaced us.
func startTLS(*netperm.Table) (func(receiver.Conn) (receiver.Conn, receiver.TLS, error), error) {
	return nil, nil
}

func lookupMain() int { return exitSoftware }
