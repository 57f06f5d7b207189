// Smapq shows and changes what is in a spool: one tool for people and scripts.
// Called as sendmail, mailq or newaliases it behaves as those. See smapq(1).
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/sysexits"
)

// An app is one run of the program: what it was given, and what all commands
// share.
type app struct {
	in     *os.File
	out    *bufio.Writer
	err    io.Writer
	term   terminal // of standard output
	getenv func(string) string
	now    func() time.Time

	dir   string // -d
	table string // -c
	json  bool   // --json, of the commands that have it

	aliases string // the file of aliases

	place *place // where the spool is, once that is known
}

func main() {
	// A write to a pager that is gone is an error like any other. Caught and not
	// ignored: what "take" runs would inherit that.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	a := &app{in: os.Stdin, out: bufio.NewWriterSize(os.Stdout, 64<<10), err: os.Stderr, getenv: os.Getenv, now: time.Now,
		aliases: aliasesPath()}
	a.term = terminalOf(os.Stdout, a.getenv)
	code := a.run(ctx, filepath.Base(os.Args[0]), os.Args[1:])
	stop()
	os.Exit(code)
}

// run does what the program's name asks for, and returns the exit code.
func (a *app) run(ctx context.Context, name string, args []string) int {
	var err error
	switch name {
	case "sendmail":
		err = a.sendmail(ctx, args)
	case "mailq":
		err = a.mailq(ctx)
	case "newaliases": // there are no aliases; the mail server behind the spool has them
	default:
		name = "smapq"
		err = a.command(ctx, args)
	}
	switch ferr := a.out.Flush(); {
	case errors.Is(ferr, unix.EPIPE):
		err = nil // the reader has seen enough, as head does
	case ferr != nil && err == nil:
		err = failure(sysexits.IOErr, ferr)
	}
	var quiet *exitError
	if err != nil && !(errors.As(err, &quiet) && quiet.err == nil) {
		fmt.Fprintf(a.err, "%s: %v\n", name, err)
	}
	return exitCode(err)
}
