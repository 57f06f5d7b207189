// Smap speaks SMTP with strangers and writes what they say into a spool. See
// smap(8).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/detach"
	"smap/internal/lookup"
	"smap/internal/sockets"
	"smap/internal/version"
	"smap/netperm"
	"smap/receiver"
)

// Exit codes: sysexits(3).
const (
	exitOK     = 0
	exitUsage  = 64
	exitNoLog  = 69
	exitOS     = 71
	exitConfig = 78
)

const usage = `usage: smap [-c FILE] [-log syslog|stderr]                  one session, from inetd
       smap [-c FILE] [-log syslog|stderr] -listen ADDR...  a server, such as -listen :25
       smap [-c FILE] -listen ADDR... -d [-p FILE]          the same, in the background
       smap [-c FILE] -t                                    check the table

`

// options are the command line.
type options struct {
	table   string
	log     string
	check   bool
	version bool
	help    bool
	listen  []string
	detach  bool
	pidFile string

	// What the process that -d starts is told.
	detached bool

	// What a parent tells its child.
	child  int  // how many sockets it inherits
	idle   bool // it may leave when it has no work
	relay  bool // the log is the socket after those
	lookup bool // it is the look-up child

	questions int // that a look-up child answers; 0 is any number
	sandbox   string
}

func main() {
	// Under inetd descriptor 2 is the client: nothing of ours may go there.
	guardStderr()
	signal.Ignore(unix.SIGPIPE)
	// What smap creates has its mode at once: after a power cut btrfs can have the mode of the creation, and a drainer that
	// is not permitted to open a file leaves it.
	unix.Umask(0o007)
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var o options
	f := flag.NewFlagSet("smap", flag.ContinueOnError)
	f.StringVar(&o.table, "c", netperm.DefaultPath(), "the netperm-table is `FILE`")
	f.StringVar(&o.log, "log", "", "log to `syslog` or stderr; overrides the table")
	f.BoolVar(&o.check, "t", false, "check the table and exit")
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	f.Func("listen", "serve on `ADDR`, ADDRESS:PORT or :PORT; may be repeated", func(s string) error {
		o.listen = append(o.listen, s)
		return nil
	})
	f.BoolVar(&o.detach, "d", false, "detach and write a pid file")
	f.StringVar(&o.pidFile, "p", "/var/run/smap.pid", "the pid file of -d is `FILE`")
	f.BoolVar(&o.detached, "detached", false, "")
	f.IntVar(&o.child, "child", 0, "")
	f.BoolVar(&o.idle, "idle", false, "")
	f.BoolVar(&o.relay, "relay", false, "")
	f.BoolVar(&o.lookup, "lookup", false, "")
	f.IntVar(&o.questions, "questions", 0, "")
	f.StringVar(&o.sandbox, "sandbox", "best", "")
	f.Usage = func() {
		fmt.Fprint(f.Output(), usage)
		f.VisitAll(func(x *flag.Flag) {
			if name, text := flag.UnquoteUsage(x); text != "" {
				fmt.Fprintf(f.Output(), "  -%-8s %-6s  %s\n", x.Name, name, text)
			}
		})
	}
	f.BoolVar(&o.help, "h", false, "print this and exit")
	err := f.Parse(args)
	switch {
	case o.help:
		f.SetOutput(os.Stdout)
		f.Usage()
		return exitOK
	case o.log != "" && o.log != "syslog" && o.log != "stderr":
		fmt.Fprintf(os.Stderr, "smap: -log %q is neither syslog nor stderr\n", o.log)
		return exitUsage
	case o.detach && o.log == "stderr":
		fmt.Fprintln(os.Stderr, "smap: -log stderr does not work with -d: a detached smap has no terminal; leave out one of the two")
		return exitUsage
	case o.detach && len(o.listen) == 0:
		fmt.Fprintln(os.Stderr, "smap: -d works only with -listen")
		return exitUsage
	case err != nil || f.NArg() > 0:
		if err == nil {
			fmt.Fprintf(os.Stderr, "smap: unexpected argument %q; see smap -h\n", f.Arg(0))
		}
		return exitUsage
	case o.version:
		fmt.Println("smap", version.String())
		return exitOK
	}
	switch {
	case o.check:
		return checkTable(o.table)
	case o.lookup:
		return lookup.Main(o.questions, o.sandbox)
	case o.child > 0:
		return serveChild(o)
	case o.detach && !o.detached:
		return background(o)
	case len(o.listen) > 0:
		if o.detached {
			detach.Hide()
			o.log = "syslog"
		}
		listening, err := sockets.OpenAll(o.listen)
		if err != nil {
			fmt.Fprintln(os.Stderr, "smap:", err)
			if errors.Is(err, sockets.ErrAddress) {
				return exitUsage
			}
			return exitOS
		}
		return serve(o, listening)
	}
	return inherit(o)
}

// background does what -d says.
func background(o options) int {
	table, err := filepath.Abs(o.table)
	pidFile, perr := filepath.Abs(o.pidFile)
	if err := errors.Join(err, perr); err != nil {
		fmt.Fprintln(os.Stderr, "smap:", err)
		return exitOS
	}
	args := []string{"-detached", "-d", "-c", table, "-p", pidFile}
	for _, address := range o.listen {
		args = append(args, "-listen", address)
	}
	return detach.Start("smap", args, os.Stderr)
}

// inherit does what the descriptors ask for that inetd or systemd gave us: a
// connection, or a socket to accept connections from.
func inherit(o options) int {
	if n := sockets.Passed(); n > 0 && !sockets.Is(0) {
		if sockets.Listening(sockets.First) {
			return serve(o, sockets.Inherit(sockets.First, n))
		}
		if err := sockets.Dup(sockets.First, 0); err != nil {
			fmt.Fprintln(os.Stderr, "smap: systemd's connection:", err)
			return exitOS
		}
	}
	if sockets.Listening(0) {
		o.idle = true // inetd waits for the next client itself
		return serve(o, sockets.Inherit(0, 1))
	}
	return session(o)
}

// checkTable prints everything that is wrong with a table.
func checkTable(path string) int {
	if builtWithCgo {
		fmt.Fprintln(os.Stderr, "smap: warning:", cgoNote)
	}
	t, err := netperm.Load(path, "smap")
	if err == nil {
		for _, w := range slices.Concat(t.Warnings(), netperm.SharedUser(path), t.Replaceable(), t.Spoolless()) {
			fmt.Fprintln(os.Stderr, "smap: warning:", w)
		}
		_, err = configure(t, true, nil, slog.New(slog.DiscardHandler))
	}
	more := checks{t: t, now: time.Now()}
	if err == nil {
		err = more.all()
	}
	if err == nil && (t.Bool(netperm.Names) || t.Bool(netperm.Ident)) {
		_, _, err = t.LookupIdentity()
	}
	for _, e := range netperm.Split(err) {
		fmt.Fprintln(os.Stderr, "smap: fwtkcfgerr:", e)
	}
	if err != nil {
		return exitConfig
	}
	for _, note := range more.notes {
		fmt.Println(note)
	}
	fmt.Println(path + ": ok")
	return exitOK
}

// prepare does everything that needs root or the world outside the chroot, and
// then leaves both: table, log and files first, then root and the file system,
// then the spool, then the sandbox. Nothing has been read from a client by then.
// A failure is logged, and the exit code is not exitOK. first decides, before all
// that is costly, whether to go on; nil always does.
func prepare(o options, first func(*setup) bool) (*setup, int) {
	t, err := netperm.Load(o.table, "smap")
	log, closer, lerr := openLog(o, t)
	if lerr != nil {
		complain(lerr)
		return nil, exitNoLog
	}
	if c, ok := closer.(interface {
		Fd() int
		Keep()
	}); ok {
		crashesTo(c.Fd())
		c.Keep() // to connect again is not for the jail
	}
	sockets.CloseOthers(o.child + 2)
	var s *setup
	if err == nil {
		s, err = configure(t, o.child > 0, os.Hostname, log)
	}
	var uid, gid int
	if err == nil && os.Geteuid() == 0 {
		uid, gid, err = t.Identity()
	}
	if err != nil {
		return nil, configError(log, err)
	}
	if first != nil && !first(s) {
		return nil, exitOK
	}
	if s.lookup, err = startLookup(t, o.child > 0); err != nil {
		log.Error(eventCannotStart, "error", err)
		return nil, exitOS
	}
	spool, err := s.imprison(uid, gid, o.child > 0)
	if err != nil {
		log.Error(eventCannotStart, "error", err)
		return nil, exitOS
	}
	s.config.Spool = receiver.FromSpool(spool)
	return s, exitOK
}

// startLookup starts the child that finds out names and users, where the table
// asks for them. If this is root, the child has a user of its own. The child of a
// process for one connection answers one question.
func startLookup(t *netperm.Table, server bool) (*lookup.Client, error) {
	if !t.Bool(netperm.Names) && !t.Bool(netperm.Ident) {
		return nil, nil
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	uid, gid, err := t.LookupIdentity()
	if err != nil && os.Geteuid() == 0 {
		return nil, err
	}
	args := []string{"-lookup", "-sandbox", t.String(netperm.Sandbox)}
	if !server {
		args = append(args, "-questions", "1")
	}
	return lookup.Start(program, args, uid, gid)
}

// session serves the one client whose connection is standard input.
func session(o options) int {
	v := standardInput()
	s, code := prepare(o, func(s *setup) bool { return !s.denied(v) && s.takeSlots(v) })
	switch {
	case code == exitNoLog:
		name, _ := os.Hostname()
		say(v.conn, receiver.NoLog(name))
		return code
	case code != exitOK:
		name, _ := os.Hostname() // the table's may be what is wrong
		sayUnavailable(v.conn, name)
		return code
	case s == nil:
		return exitOK // turned away
	}
	if !v.peer.IsValid() && sockets.Remote(0) {
		// Reset before we could ask who it is: no local client, to whom no rule applies.
		s.config.Log.With("client", "unknown").Info(eventExit, "why", "vanished")
		return exitOK
	}
	defer func() {
		if p := recover(); p != nil {
			s.panicked(p, v.conn)
			os.Exit(exitSoftware)
		}
	}()
	// TERM simply ends us, since the runtime takes long to begin to listen for it:
	// nothing has been promised that is not in the spool.
	var count func(netip.Addr) (func(), bool)
	if s.countLater {
		count = s.takeClientSlot
	}
	s.meet(context.Background(), v, count)
	return exitOK
}

// panicked logs a fault of ours that would have ended the process.
func (s *setup) panicked(value any, conn receiver.Conn) {
	s.config.Log.Error(eventPanic, "value", fmt.Sprint(value), "stack", string(debug.Stack()))
	sayUnavailable(conn, s.config.Hostname)
}
