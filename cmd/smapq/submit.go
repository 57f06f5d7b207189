package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"smap/internal/sysexits"
)

func (a *app) submitCommand() *cobra.Command {
	var l submission
	var from, file string
	c := &cobra.Command{
		Use:   "submit [flags] [RECIPIENT...]",
		Short: "Send a message: put it into the spool",
		Long: `Submit puts a message from standard input into the spool, for the recipients
that are named and, with -t, those of its header. It prints the id once the
message is safe on disk. The header gets a Received field, and Date, Message-ID
and From if they are missing.`,
		Example: `  echo 'The disk is full.' | smapq submit root@example.org
  smapq submit -t <message
  smapq submit -f '<>' --file report.eml bob@example.org carol@example.net`,
		RunE: func(c *cobra.Command, args []string) error {
			l.to = args
			if c.Flags().Changed("from") {
				l.setFrom(from)
			}
			return a.submit(c.Context(), &l, file)
		},
	}
	f := c.Flags()
	f.BoolVarP(&l.fromHeader, "header", "t", false, "take sender and recipients from the header")
	f.StringVarP(&from, "from", "f", "", "the sender is `ADDRESS`; <> is the null sender")
	f.StringVarP(&l.name, "name", "F", "", "the sender's `NAME`, for a missing From field")
	f.StringVar(&file, "file", "", "read `FILE` instead of standard input")
	f.BoolVar(&l.asIs, "as-is", false, "add nothing to the header")
	return a.withJSON(c)
}

// setFrom takes the sender, with or without brackets.
func (l *submission) setFrom(address string) {
	if n := len(address); n >= 2 && address[0] == '<' && address[n-1] == '>' {
		address = address[1 : n-1]
	}
	l.from = &address
}

func (a *app) submit(ctx context.Context, l *submission, file string) error {
	if len(l.to) == 0 && !l.fromHeader {
		return usagef("no recipients: name them, or use -t to take them from the header")
	}
	in := a.in
	if file != "" && file != "-" {
		f, err := os.Open(file) // before root becomes the spool's owner
		if err != nil {
			return failure(sysexits.NoInput, err)
		}
		defer f.Close() // only read
		in = f
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	id, err := a.feed(ctx, l, in)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]string{"id": id})
	}
	_, err = fmt.Fprintln(a.out, id)
	return err
}
