// Smap receives mail by SMTP and writes it into a spool. See smap(8).
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

	// For the process that -d starts.
	detached bool

	// From a parent to its child.
	child  int  // how many sockets it inherits
	idle   bool // it ends when it has no work
	relay  bool // the log is the next descriptor after those sockets
	lookup bool // it is the look-up child

	questions int // how many a look-up child answers; 0: no limit
	sandbox   string
}

func main() {
	// Under inetd descriptor 2 is the client, which must not get error messages.
	guardStderr()
	signal.Ignore(unix.SIGPIPE)
	// Files get their final mode when they are created: after a power cut on btrfs, a later change of mode can be lost.
	// Then the drainer might not be allowed to open a message.
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

// background starts smap again as a background process, for -d.
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

// inherit serves on the descriptors from inetd or systemd. Those are listening
// sockets, or one connection.
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
		o.idle = true // after our end, inetd waits for the next client
		return serve(o, sockets.Inherit(0, 1))
	}
	return session(o)
}

// checkTable prints the errors and warnings of a table, for -t.
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

// prepare does everything that needs root or files outside the chroot, before
// anything is read from a client. The order is: table, log, files, look-up child;
// chroot and change of user; spool; sandbox.
//
// prepare reports a failure itself; then the exit code is not exitOK. If first is
// not nil, prepare calls it before the slow steps. If first returns false, prepare
// stops and returns nil and exitOK.
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
		c.Keep() // in the jail it cannot connect again
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

// startLookup starts the child that looks up names and ident users, if the table
// asks for either. If smap is root, the child runs as another user. Unless server
// is true, the child answers one question and ends.
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
		name, _ := os.Hostname() // the error can be in the table, so its hostname is not used
		sayUnavailable(v.conn, name)
		return code
	case s == nil:
		return exitOK // first has sent the reply
	}
	if !v.peer.IsValid() && sockets.Remote(0) {
		// The connection was reset before smap learned the address. Without an address
		// the client would count as local, and no rule would apply to it.
		s.config.Log.With("client", "unknown").Info(eventExit, "why", "vanished")
		return exitOK
	}
	defer func() {
		if p := recover(); p != nil {
			s.panicked(p, v.conn)
			os.Exit(exitSoftware)
		}
	}()
	// Nothing handles TERM, so it ends the process: Go takes long to install a handler.
	// No mail is lost, since an accepted message is in the spool.
	var count func(netip.Addr) (func(), bool)
	if s.countLater {
		count = s.takeClientSlot
	}
	s.meet(context.Background(), v, count)
	return exitOK
}

// panicked logs a panic in a session, and sends the client 421.
func (s *setup) panicked(value any, conn receiver.Conn) {
	s.config.Log.Error(eventPanic, "value", fmt.Sprint(value), "stack", string(debug.Stack()))
	sayUnavailable(conn, s.config.Hostname)
}
