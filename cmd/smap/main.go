// Smap speaks SMTP with strangers and writes what they say into a spool. See
// smap(8).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"smap/internal/confine"
	"smap/internal/eventlog"
	"smap/netperm"
	"smap/receiver"
	"smap/spoolfmt"
)

// Exit codes: sysexits(3).
const (
	exitOK     = 0
	exitUsage  = 64
	exitOS     = 71
	exitConfig = 78
)

const usage = `usage: smap [-c FILE] [-log syslog|stderr]                  one session, from inetd
       smap [-c FILE] [-log syslog|stderr] -listen ADDR...  a server, such as -listen :25
       smap [-c FILE] -t                                    check the table

`

// options are the command line.
type options struct {
	table   string
	log     string
	check   bool
	version bool
	listen  []string
	child   int // sockets inherited from the parent
}

func main() {
	// Under inetd descriptor 2 is the client: nothing of ours may go there.
	guardStderr()
	signal.Ignore(unix.SIGPIPE)
	unix.Umask(0o077)
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var o options
	f := flag.NewFlagSet("smap", flag.ContinueOnError)
	f.StringVar(&o.table, "c", netperm.DefaultPath, "the netperm-table is `FILE`")
	f.StringVar(&o.log, "log", "", "log to `syslog` or stderr, whatever the table says")
	f.BoolVar(&o.check, "t", false, "check the table and exit")
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	f.Func("listen", "serve on `ADDR`, HOST:PORT or :PORT; may be repeated", func(s string) error {
		o.listen = append(o.listen, s)
		return nil
	})
	f.IntVar(&o.child, "child", 0, "")
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.VisitAll(func(x *flag.Flag) {
			if name, text := flag.UnquoteUsage(x); text != "" {
				fmt.Fprintf(f.Output(), "  -%-8s %-6s  %s\n", x.Name, name, text)
			}
		})
	}
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil || f.NArg() > 0:
		if err == nil {
			fmt.Fprintf(os.Stderr, "smap: unexpected argument %q; see smap -h\n", f.Arg(0))
		}
		return exitUsage
	case o.version:
		fmt.Println("smap", version())
		return exitOK
	case o.check:
		return checkTable(o.table)
	case o.child > 0:
		return serveChild(o, o.child)
	case len(o.listen) > 0:
		sockets, err := openSockets(o.listen)
		if err != nil {
			fmt.Fprintln(os.Stderr, "smap:", err)
			return exitOS
		}
		return serve(o, sockets)
	}
	return inherit(o)
}

// inherit does what the descriptors ask for that inetd or systemd gave us: a
// connection, or a socket to accept connections from.
func inherit(o options) int {
	if n := systemdSockets(); n > 0 && !isSocket(0) {
		if listening(firstSocket) {
			return serve(o, inherited(firstSocket, n))
		}
		if err := dup2(firstSocket, 0); err != nil {
			fmt.Fprintln(os.Stderr, "smap: systemd's connection:", err)
			return exitOS
		}
	}
	if listening(0) {
		return serveWait(o, 0)
	}
	return session(o)
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}

// checkTable prints everything that is wrong with a table.
func checkTable(path string) int {
	t, err := netperm.Load(path, "smap")
	if err == nil {
		for _, w := range t.Warnings() {
			fmt.Fprintln(os.Stderr, "smap: warning:", w)
		}
		_, err = configure(t, nil, slog.New(slog.DiscardHandler))
	}
	for _, e := range netperm.Split(err) {
		fmt.Fprintln(os.Stderr, "smap: fwtkcfgerr:", e)
	}
	if err != nil {
		return exitConfig
	}
	return exitOK
}

// openLog opens the log that the command line, else the table, else the
// occasion asks for. t may be nil.
func openLog(o options, t *netperm.Table, occasion string) (*slog.Logger, io.Closer, error) {
	dest := o.log
	if dest == "" && t != nil {
		dest = t.String("log")
	}
	if dest == "" {
		dest = occasion
	}
	return eventlog.Open(dest, "smap")
}

// prepare does everything that needs root or the world outside the chroot, and
// then leaves both: table, log and files first, then the jail, then the spool.
// A failure is logged, and the exit code is not exitOK.
func prepare(o options, occasion string) (*setup, int) {
	t, err := netperm.Load(o.table, "smap")
	log, closer, lerr := openLog(o, t, occasion)
	if lerr != nil {
		fmt.Fprintln(os.Stderr, "smap:", lerr)
		return nil, exitOS
	}
	if c, ok := closer.(interface{ Fd() int }); ok {
		crashesTo(c.Fd())
	}
	var s *setup
	if err == nil {
		s, err = configure(t, os.Hostname, log)
	}
	if err != nil {
		return nil, configError(log, err)
	}
	dir, err := imprison(t, log)
	var spool *spoolfmt.Spool
	if err == nil {
		spool, err = spoolfmt.OpenFeeder(dir, spoolfmt.Options{Log: log})
	}
	if err != nil {
		log.Error("fwtksyserr: start", "error", err)
		return nil, exitOS
	}
	s.config.Spool = receiver.FromSpool(spool)
	return s, exitOK
}

// imprison gives up root, and returns where the spool is from then on.
func imprison(t *netperm.Table, log *slog.Logger) (string, error) {
	dir := t.String("directory")
	if os.Geteuid() != 0 {
		log.Info("start", "note", "not root: no chroot, no change of user")
		return dir, nil
	}
	uid, gid, err := t.Identity()
	if err != nil {
		return "", err
	}
	if err := confine.Drop(dir, uid, gid); err != nil {
		return "", err
	}
	return "/", nil
}

// session serves the one client whose connection is standard input.
func session(o options) int {
	conn, client := standardInput()
	s, code := prepare(o, defaultLog())
	if code != exitOK {
		name, _ := os.Hostname() // the table's may be what is wrong
		sayUnavailable(conn, name)
		return code
	}
	defer func() {
		if p := recover(); p != nil {
			s.panicked(p, conn)
			os.Exit(exitSoftware)
		}
	}()
	if !s.admit(&client) {
		refuseClient(s, conn, client)
		return exitOK
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	receiver.Serve(ctx, s.config, client, conn)
	linger(conn)
	return exitOK
}

// panicked logs a fault of ours that would have ended the process.
func (s *setup) panicked(value any, conn receiver.Conn) {
	s.config.Log.Error("fwtksyserr: panic", "value", fmt.Sprint(value), "stack", string(debug.Stack()))
	sayUnavailable(conn, s.config.Hostname)
}
