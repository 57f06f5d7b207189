package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"golang.org/x/sys/unix"

	"smap/internal/eventlog"
	"smap/internal/sysexits"
	"smap/internal/version"
	"smap/spoolfmt"
)

// command runs smapq itself: a word that says what to do, and its options.
func (a *app) command(ctx context.Context, args []string) error {
	ran := false
	root := a.root(func() { ran = true })
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	var known *exitError
	if err != nil && !ran && !errors.As(err, &known) {
		return usagef("%w; see smapq -h", err)
	}
	return err
}

// root is the tree of commands; begin is called before one of them runs.
func (a *app) root(begin func()) *cobra.Command {
	var o listOptions
	root := &cobra.Command{
		Use:           "smapq [command]",
		Short:         "Show, change, feed and drain a mail spool",
		Long:          "Smapq shows, changes, feeds and drains a mail spool. Under the names sendmail,\nmailq and newaliases it works as those programs do.",
		Version:       version.String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		Example: `  smapq                              what waits in the spool, and why
  smapq submit bob@example.org <msg  send a message
  smapq take --follow ./handle       run a program for each message that comes
  smapq check --repair               look for damage, and repair it`,
		PersistentPreRun: func(*cobra.Command, []string) { begin() },
		RunE:             func(c *cobra.Command, _ []string) error { return a.list(c.Context(), o, nil) },
	}
	o.flags(root)
	a.withJSON(root)
	root.SetVersionTemplate("smapq {{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVarP(&a.dir, "dir", "d", "", "the spool is `DIR` (else $SMAP_SPOOL, the table)")
	f.StringVarP(&a.table, "config", "c", "", "take the spool from the netperm-table `FILE`")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(a.listCommand(), a.showCommand(), a.submitCommand(), a.statCommand(), a.takeCommand(),
		a.retryCommand(), a.requeueCommand(), a.deleteCommand(), a.checkCommand(), a.watchCommand(), a.initCommand())
	for _, c := range root.Commands() {
		c.DisableFlagsInUseLine = true
	}
	return root
}

// withJSON gives a command the option --json.
func (a *app) withJSON(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&a.json, "json", false, "write JSON, one object on each line")
	return c
}

// printJSON writes one object on a line of its own.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printNow prints what somebody waits for. Who does not wait any more has seen enough.
func (a *app) printNow(v any) error {
	switch err := errors.Join(a.printJSON(v), a.out.Flush()); {
	case errors.Is(err, unix.EPIPE):
		return &exitError{code: sysexits.OK}
	case err != nil:
		return failure(sysexits.IOErr, err)
	}
	return nil
}

// log is where the spool's own reports go.
func (a *app) log() *slog.Logger { return eventlog.New(a.err, "smapq") }

// atLeast asks for arguments; without any the error has an example.
func atLeast(missing string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s", missing)
		}
		return nil
	}
}

// noMessage is the error of a command that was given no id.
func noMessage(command string) string {
	return "no message named; smapq list --oneline shows short ids, as in: smapq " + command + " 7f3a"
}

// completeIDs offers the ids in these boxes to the shell.
func (a *app) completeIDs(from ...spoolfmt.Box) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
		const most = 200 // more is no help to a person
		s, err := a.view()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer s.Close() // only read
		var ids []string
		for _, b := range from {
			enough := s.Scan(b, func(e spoolfmt.Entry) error {
				if e.Kind != spoolfmt.KindContent && e.Kind != spoolfmt.KindOther && strings.HasPrefix(e.ID, begin) {
					ids = append(ids, e.ID)
				}
				if len(ids) == most {
					return io.EOF
				}
				return nil
			})
			if enough != nil {
				break
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
