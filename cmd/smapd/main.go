// The runtime would look each second whether there are more processors now, which wakes an idle machine.
//
//go:debug updatemaxprocs=0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"smap/internal/detach"
	"smap/internal/sysexits"
	"smap/internal/version"
	"smap/netperm"
)

type options struct {
	table     string
	test      bool
	addresses []string // with test: what would happen to them
	detach    bool
	pidFile   string
	log       string
	once      bool
	version   bool
	child     bool
	inner     bool
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	o, code := parse(args, stdout, stderr)
	if code >= 0 {
		return code
	}
	switch {
	case o.version:
		fmt.Fprintln(stdout, "smapd", version.String())
		return sysexits.OK
	case o.child:
		return child(stderr)
	case o.test:
		return test(o, stdout, stderr)
	}
	if os.Getpid() == 1 {
		return first(args, stderr)
	}
	root := os.Geteuid() == 0
	rules, err := readRules(o.table, root)
	if err != nil {
		return configErrors(stderr, err)
	}
	rules.override(o)
	if o.inner {
		detach.Hide() // agents have no use for it
	}
	switch {
	case o.detach && !o.inner:
		return background(o, stderr)
	case root:
		return parent(o, rules, stderr)
	}
	return alone(o, rules, stderr)
}

// background does what -d says.
func background(o options, stderr io.Writer) int {
	table, err := filepath.Abs(o.table)
	pidFile, perr := filepath.Abs(o.pidFile)
	if err := errors.Join(err, perr); err != nil {
		fmt.Fprintln(stderr, "smapd:", err)
		return sysexits.OSErr
	}
	args := []string{"-detached", "-d", "-c", table, "-p", pidFile}
	if o.once {
		args = append(args, "-once")
	}
	return detach.Start("smapd", args, stderr)
}

// parse reads the command line; a code below zero means to go on.
func parse(args []string, stdout, stderr io.Writer) (options, int) {
	var o options
	f := flag.NewFlagSet("smapd", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.table, "c", netperm.DefaultPath(), "netperm-table to read")
	f.BoolVar(&o.test, "t", false, "check the table and exit; with addresses, print their lanes")
	f.BoolVar(&o.detach, "d", false, "detach and write a pid file")
	f.StringVar(&o.pidFile, "p", "/var/run/smapd.pid", "pid file with -d")
	f.StringVar(&o.log, "log", "", "log to syslog or stderr; overrides the table")
	f.BoolVar(&o.once, "once", false, "deliver all mail that is due, then exit")
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	f.BoolVar(&o.child, "child", false, "internal: started by the parent")
	f.BoolVar(&o.inner, "detached", false, "internal: started by -d")
	help := f.Bool("h", false, "print this and exit")
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "usage: smapd [-c table] [-t [address...]] [-d [-p pidfile]] [-log syslog|stderr] [-once] [-version]")
		f.VisitAll(func(fl *flag.Flag) {
			if fl.Name != "child" && fl.Name != "detached" {
				fmt.Fprintf(f.Output(), "  -%-8s %s\n", fl.Name, fl.Usage)
			}
		})
	}
	switch err := f.Parse(args); {
	case err != nil:
		return o, sysexits.Usage
	case *help:
		f.SetOutput(stdout)
		f.Usage()
		return o, sysexits.OK
	case f.NArg() > 0 && o.test:
		o.addresses = f.Args()
	case f.NArg() > 0:
		fmt.Fprintf(stderr, "smapd: unexpected argument %q; see smapd -h\n", f.Arg(0))
		return o, sysexits.Usage
	case o.detach && o.log == "stderr":
		fmt.Fprintln(stderr, "smapd: -log stderr does not work with -d: a detached smapd has no terminal; leave out one of the two")
		return o, sysexits.Usage
	case o.log != "" && o.log != "syslog" && o.log != "stderr":
		fmt.Fprintf(stderr, "smapd: -log %q is neither syslog nor stderr\n", o.log)
		return o, sysexits.Usage
	}
	return o, -1
}

// test checks the table and everything that it names.
func test(o options, stdout, stderr io.Writer) int {
	rules, err := rereadRules(o.table, os.Geteuid() == 0)
	if err == nil {
		_, _, err = rules.table.Identity()
	}
	if err != nil {
		return configErrors(stderr, err)
	}
	for _, w := range slices.Concat(rules.warnings(), netperm.SharedUser(o.table), rules.table.Replaceable(), rules.table.Spoolless()) {
		fmt.Fprintln(stderr, "smapd: warning:", w)
	}
	fmt.Fprintln(stdout, o.table+": ok")
	return explain(rules, o.addresses, stdout, stderr)
}

// configErrors prints every error of a table on a line of its own.
func configErrors(stderr io.Writer, err error) int {
	for _, e := range netperm.Split(err) {
		fmt.Fprintln(stderr, "smapd: fwtkcfgerr:", e)
	}
	return sysexits.Config
}

// exitCode is the exit code for an error that ends the work.
func exitCode(err error) int {
	var table netperm.Errors
	var one *netperm.Error
	if errors.As(err, &table) || errors.As(err, &one) {
		return sysexits.Config
	}
	return sysexits.OSErr
}
