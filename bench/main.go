//go:build linux

// Command bench measures smap and smapd beside their floors and Postfix, all in one run on one disk: a journaled ext4
// in a file of its own, mounted by a loop device. It runs as root:
//
//	make bench
//	make bench BENCHFLAGS='-json -runs 1 -only latency'
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// bench is one run: where things are, and what it has measured.
type bench struct {
	ctx     context.Context
	dir     string // scratch, on the machine's own disk
	disk    string // the mounted file system
	bin     string // our programs
	runs    int
	quick   bool
	uid     int // who owns the spools
	tables  int // written
	results []result
	missing []string // peers that are not here, and why
	undo    []func() error
}

// result is one number of the table.
type result struct {
	Group string    `json:"group"`
	Name  string    `json:"name"`
	Unit  string    `json:"unit"`
	Value float64   `json:"value"`
	Runs  []float64 `json:"runs,omitempty"`
}

var sections = []struct {
	name string
	run  func(*bench) error
}{
	{"floor", (*bench).floors},
	{"serve", (*bench).serve},
	{"inetd", (*bench).oneshot},
	{"relay", (*bench).relay},
	{"maildir", (*bench).maildir},
	{"program", (*bench).program},
	{"dot", (*bench).dot},
	{"latency", (*bench).latency},
	{"drain", (*bench).drain},
	{"scale", (*bench).scale},
	{"size", (*bench).size},
	{"memory", (*bench).memory},
	{"journal", (*bench).journal},
	{"profile", (*bench).profile},
}

func main() {
	asJSON := flag.Bool("json", false, "print JSON instead of tables")
	runs := flag.Int("runs", 3, "runs of each throughput measurement; the median counts")
	quick := flag.Bool("quick", false, "a tenth of the messages, to see whether everything works")
	report := flag.String("report", "", "write RESULT.md and its plots into this directory")
	only := flag.String("only", "", "comma-separated sections: floor, serve, inetd, relay, maildir, program, dot, latency, drain, scale, size, memory, journal, profile")
	flag.Parse()
	b, err := run(*runs, *quick, *only)
	if b != nil {
		if *asJSON {
			err = errors.Join(err, json.NewEncoder(os.Stdout).Encode(b.results))
		} else {
			b.print(os.Stdout)
		}
		if *report != "" && err == nil {
			err = b.report(*report, "make bench")
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(runs int, quick bool, only string) (b *bench, err error) {
	if os.Getuid() != 0 {
		return nil, errors.New("must run as root, since it mounts a disk of its own and starts inetd")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	bin, err := filepath.Abs("bin")
	if err != nil {
		return nil, err
	}
	b = &bench{ctx: ctx, bin: bin, runs: max(runs, 1), quick: quick}
	defer func() {
		for i := len(b.undo) - 1; i >= 0; i-- {
			err = errors.Join(err, b.undo[i]())
		}
	}()
	if err := b.prepare(); err != nil {
		return nil, err
	}
	for _, s := range sections {
		if only != "" && !strings.Contains(","+only+",", ","+s.name+",") {
			continue
		}
		if err := s.run(b); err != nil {
			return b, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return b, ctx.Err()
}

func (b *bench) add(group, name, unit string, value float64, runs ...float64) {
	fmt.Fprintf(os.Stderr, "bench: %s, %s: %.4g %s\n", group, name, value, unit)
	b.results = append(b.results, result{group, name, unit, value, runs})
}

// messages scales a count down for -quick.
func (b *bench) messages(n int) int {
	if b.quick {
		return max(n/10, 64)
	}
	return n
}
