package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smap/internal/sysexits"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

func (a *app) retryCommand() *cobra.Command {
	all := false
	c := &cobra.Command{
		Use:               "retry [flags] ID... | --all",
		Short:             "Try deferred messages again now",
		Long:              `Retry makes deferred messages due. smapd tries them within a second.`,
		Example:           "  smapq retry --all",
		ValidArgsFunction: a.completeIDs(spoolfmt.Cur),
		RunE: func(c *cobra.Command, ids []string) error {
			return a.named(c.Context(), ids, all, operation{of: stateDeferred, done: "due now", none: "No message is deferred.", do: hurry})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all deferred messages")
	return a.withJSON(c)
}

func (a *app) requeueCommand() *cobra.Command {
	all := false
	c := &cobra.Command{
		Use:   "requeue [flags] ID... | --all",
		Short: "Deliver messages again that were set aside",
		Long: `Requeue moves messages from bad to new. Recipients that already got the message
are skipped; failures are forgotten. A malformed message is refused until
somebody has repaired it with an editor.`,
		Example:           "  smapq list --state bad --recipient @example.org --ids | xargs smapq requeue",
		ValidArgsFunction: a.completeIDs(spoolfmt.Bad),
		RunE: func(c *cobra.Command, ids []string) error {
			return a.named(c.Context(), ids, all, operation{of: stateBad, done: "requeued", none: "No message is set aside.", do: requeue})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all messages that were set aside")
	return a.withJSON(c)
}

func (a *app) deleteCommand() *cobra.Command {
	yes := false
	var f filter
	c := &cobra.Command{
		Use:     "delete [flags] ID... | FILTER | --state bad ID...",
		Aliases: []string{"rm"},
		Short:   "Delete messages for good",
		Long: `Delete removes messages from the spool: those that are named, or those that
all of the filters fit. Nobody is told. On a terminal it asks first; otherwise
it needs -y. A message in delivery is left alone. With --state bad, an ID names
only what was set aside.`,
		Example: `  smapq delete 7f3a
  smapq delete --state bad 7f3a
  smapq delete --state bad --older 30d -y`,
		ValidArgsFunction: a.completeIDs(spoolfmt.New, spoolfmt.Cur, spoolfmt.Bad),
		RunE:              func(c *cobra.Command, ids []string) error { return a.delete(c.Context(), ids, &f, yes) },
	}
	f.flags(c)
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return a.withJSON(c)
}

func (a *app) delete(ctx context.Context, ids []string, f *filter, yes bool) error {
	if len(ids) > 0 && !f.empty() && !f.onlyBad() || len(ids) == 0 && f.empty() {
		return usagef("name messages, as in: smapq delete 7f3a; or use filters, as in: smapq delete --state bad --older 30d")
	}
	what := operation{done: "deleted", none: "No message fits.", do: deleteAny}
	if slices.Equal(f.states, []string{stateBad}) {
		what.do = func(s *spoolfmt.Spool, id string) error { return s.DeleteAside(id) }
	}
	if len(ids) == 0 {
		what.all = true // one that is gone meanwhile is no error
		err := a.eachRow(ctx, f, func(r *row) error { ids = append(ids, r.ID); return nil })
		if err != nil {
			return err
		}
	}
	if len(ids) > 0 {
		if ok, err := a.sure(ctx, yes, len(ids)); err != nil || !ok {
			return err
		}
	}
	return a.each(ctx, ids, what)
}

// deleteAny deletes the message of that id, wherever it is.
func deleteAny(s *spoolfmt.Spool, id string) error {
	err := s.Delete(id)
	if errors.Is(err, spoolfmt.ErrBlocked) {
		return fmt.Errorf("%w; smapq delete --state bad ID deletes the one that was set aside", err)
	}
	return err
}

// An operation is what retry, requeue and delete do to messages.
type operation struct {
	of   string // the state of the messages that --all means
	done string // what became of a message
	none string // printed when there is nothing to do
	all  bool   // the messages were found, not named
	do   func(*spoolfmt.Spool, string) error
}

// named does it to the messages that are named, or with --all to all of a state.
func (a *app) named(ctx context.Context, ids []string, all bool, what operation) error {
	if all == (len(ids) > 0) {
		return usagef("name messages, or use --all; smapq list --oneline shows short ids")
	}
	what.all = all
	return a.each(ctx, ids, what)
}

// requeue sends a message that was set aside on its way again.
func requeue(s *spoolfmt.Spool, id string) error {
	err := s.Requeue(id)
	if errors.Is(err, spoolfmt.ErrGone) {
		return fmt.Errorf("%w in bad; only what was set aside can be requeued", spoolfmt.ErrGone)
	}
	return err
}

// sure asks a person. An interrupt is an answer, too: no.
func (a *app) sure(ctx context.Context, yes bool, n int) (bool, error) {
	if yes {
		return true, nil
	}
	t := terminal{fd: int(a.in.Fd())}
	if !t.measure() {
		return false, usagef("cannot ask, standard input is not a terminal; use -y to delete %s", plural(n, "message"))
	}
	fmt.Fprintf(a.err, "Delete %s for good? [y/N] ", plural(n, "message"))
	answered := make(chan bool, 1)
	go func() { // a read from a terminal cannot be cut short; after an interrupt the process ends
		answer, err := bufio.NewReader(a.in).ReadString('\n')
		answered <- err == nil && slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer)))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.err)
	case yes = <-answered:
	}
	if !yes {
		return false, failf(sysexits.Usage, "nothing was deleted")
	}
	return true, nil
}

// each does something to messages. It goes on after a failure, and returns the
// first.
func (a *app) each(ctx context.Context, ids []string, what operation) error {
	s, err := a.open(spoolfmt.OpenDrainer)
	if err != nil {
		return err
	}
	defer s.Close() // nothing is finished that was not flushed
	switch {
	case what.all && what.of != "":
		ids, err = idsOf(ctx, s, what.of, a.now())
	case !what.all:
		ids, err = resolve(ctx, s, ids)
	}
	if err != nil {
		return err
	}
	p := newProgress(a.err, what.done+":")
	p.of = len(ids)
	defer p.end()
	var first error
	n := 0
	for i, id := range ids {
		if ctx.Err() != nil {
			first = cmp.Or(first, ctx.Err())
			break
		}
		err := what.do(s, id)
		if what.all && errors.Is(err, spoolfmt.ErrGone) {
			continue
		}
		p.at(i)
		if err != nil {
			err = fmt.Errorf("%s: %w", id, explain(err))
			if first == nil {
				first = failure(exitCode(err), nil)
			}
			p.end()
			fmt.Fprintln(a.err, "smapq:", err)
			continue
		}
		n++
		if err := a.printDone(id, what.done); err != nil {
			return err
		}
	}
	if what.all && !a.json {
		a.printSum(n, what)
	}
	return first
}

// printSum tells a person how many messages it was.
func (a *app) printSum(n int, what operation) {
	if n == 0 {
		fmt.Fprintln(a.out, what.none)
		return
	}
	fmt.Fprintf(a.out, "%s %s.\n", plural(n, "message"), what.done)
}

func (a *app) printDone(id, done string) error {
	if a.json {
		return a.printJSON(map[string]string{"id": id, "done": done})
	}
	_, err := fmt.Fprintf(a.out, "%s %s\n", id, done)
	return err
}

// explain adds what a person can do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, spoolfmt.ErrBusy):
		return fmt.Errorf("%w: it is in delivery", err)
	case errors.Is(err, spoolfmt.ErrBlocked):
		return fmt.Errorf("%w; smapq list shows both", err)
	case errors.Is(err, spoolfmt.ErrLinked), errors.Is(err, spoolfmt.ErrAlone):
		return fmt.Errorf("%w; smapq check --repair may repair it", err)
	}
	return err
}

// idsOf returns the ids of all messages in a state of cur or bad.
func idsOf(ctx context.Context, s *spoolfmt.Spool, want string, now time.Time) ([]string, error) {
	box := spoolfmt.Cur
	if want == stateBad {
		box = spoolfmt.Bad
	}
	var ids []string
	_, err := walk(ctx, s, []spoolfmt.Box{box}, maxSorted, func(part []ref) error {
		for _, r := range part {
			state, _, err := stateOf(s, r, now)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if state == want {
				ids = append(ids, r.id)
			}
		}
		return nil
	})
	return ids, err
}

// hurry makes a deferred message due.
func hurry(s *spoolfmt.Spool, id string) error {
	name := id + spoolfmt.KindEnvelope.Suffix()
	if _, err := s.Stat(spoolfmt.Cur, name); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w in cur; only a deferred message can be tried again", spoolfmt.ErrGone)
	} else if err != nil {
		return err
	}
	c, err := s.Claim(id)
	if err != nil {
		return err
	}
	if err = c.Load(); err == nil {
		now := time.Now()
		if err = c.Envelope().Set("Next-Attempt", envelope.FormatTime(now)); err == nil {
			err = c.Record(now)
		}
	}
	err = errors.Join(err, c.Release())
	if err == nil {
		// Drainers watch new, and scan cur when somebody touches new.
		now := time.Now()
		err = os.Chtimes(s.Path(spoolfmt.New), now, now)
	}
	return err
}
