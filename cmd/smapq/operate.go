package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
		Use:   "retry [flags] ID... | --all",
		Short: "Try deferred messages again now",
		Long: `Retry makes deferred messages due. smapd finds them when it scans the spool
next, which is within its wakeup time, or at once when it gets the signal USR1.`,
		Example:           "  smapq retry --all && pkill -USR1 -x smapd",
		ValidArgsFunction: a.completeIDs(spoolfmt.Cur),
		RunE: func(c *cobra.Command, ids []string) error {
			if all == (len(ids) > 0) {
				return usagef("name the messages, or --all of them")
			}
			return a.each(c.Context(), ids, all, []string{stateDeferred}, "due now", hurry)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all deferred messages")
	return a.withJSON(c)
}

func (a *app) requeueCommand() *cobra.Command {
	all := false
	c := &cobra.Command{
		Use:   "requeue [flags] ID... | --all",
		Short: "Send messages that were set aside on their way again",
		Long: `Requeue moves messages from bad to new. Recipients who have the message already
do not get it again; failures are forgotten. A message that is malformed is
refused until somebody has mended it, with an editor and care.`,
		Example:           "  smapq list --state bad --recipient @example.org --ids | xargs smapq requeue",
		ValidArgsFunction: a.completeIDs(spoolfmt.Bad),
		RunE: func(c *cobra.Command, ids []string) error {
			if all == (len(ids) > 0) {
				return usagef("name the messages, or --all of them")
			}
			return a.each(c.Context(), ids, all, []string{stateBad}, "requeued", requeue)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all messages that were set aside")
	return a.withJSON(c)
}

func (a *app) deleteCommand() *cobra.Command {
	yes := false
	c := &cobra.Command{
		Use:     "delete [flags] ID...",
		Aliases: []string{"rm"},
		Short:   "Delete messages, for good",
		Long: `Delete removes messages, wherever they are. Nobody is told. On a terminal it
asks first; elsewhere it wants -y. A message that is being delivered is left
alone.`,
		Example:           "  smapq list --state bad --older 30d --ids | xargs smapq delete -y",
		Args:              atLeast("message"),
		ValidArgsFunction: a.completeIDs(spoolfmt.New, spoolfmt.Cur, spoolfmt.Bad),
		RunE: func(c *cobra.Command, ids []string) error {
			if ok, err := a.sure(c.Context(), yes, len(ids)); err != nil || !ok {
				return err
			}
			return a.each(c.Context(), ids, false, nil, "deleted", func(s *spoolfmt.Spool, id string) error { return s.Delete(id) })
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return a.withJSON(c)
}

// requeue sends a message that was set aside on its way again.
func requeue(s *spoolfmt.Spool, id string) error {
	err := s.Requeue(id)
	if errors.Is(err, spoolfmt.ErrGone) {
		return fmt.Errorf("%w in bad; only what was set aside can be requeued", spoolfmt.ErrGone)
	}
	return err
}

// sure asks a person, who may answer with an interrupt as well.
func (a *app) sure(ctx context.Context, yes bool, n int) (bool, error) {
	if yes {
		return true, nil
	}
	t := terminal{fd: int(a.in.Fd())}
	if !t.measure() {
		return false, usagef("nobody is there to ask; say -y to delete %s", plural(n, "message"))
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

// each does something to messages that are named, or to all of some states. It
// goes on after a failure, and returns the first.
func (a *app) each(ctx context.Context, ids []string, all bool, of []string, done string, do func(*spoolfmt.Spool, string) error) error {
	for _, id := range ids {
		if err := envelope.CheckID(id); err != nil {
			return failure(sysexits.Usage, err)
		}
	}
	s, err := a.open(spoolfmt.OpenDrainer)
	if err != nil {
		return err
	}
	defer s.Close() // nothing is finished that was not flushed
	if all {
		if ids, err = idsOf(ctx, s, of, a.now()); err != nil {
			return err
		}
	}
	var first error
	p := newProgress(a.err, done+":")
	for i, id := range ids {
		if ctx.Err() != nil {
			break
		}
		err := do(s, id)
		if all && errors.Is(err, spoolfmt.ErrGone) {
			continue
		}
		p.at(i)
		if err == nil {
			if err = a.printDone(id, done); err != nil {
				return err
			}
			continue
		}
		err = fmt.Errorf("%s: %w", id, explain(err))
		if first == nil {
			first = failure(exitCode(err), nil)
		}
		p.end()
		fmt.Fprintln(a.err, "smapq:", err)
	}
	p.end()
	return first
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
		return fmt.Errorf("%w; it is being delivered just now", err)
	case errors.Is(err, spoolfmt.ErrBlocked):
		return fmt.Errorf("%w; smapq list shows both", err)
	case errors.Is(err, spoolfmt.ErrLinked), errors.Is(err, spoolfmt.ErrAlone):
		return fmt.Errorf("%w; smapq check --repair may mend it", err)
	}
	return err
}

// idsOf returns the ids of all messages in some states.
func idsOf(ctx context.Context, s *spoolfmt.Spool, of []string, now time.Time) ([]string, error) {
	box := spoolfmt.Cur
	if of[0] == stateBad {
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
			if state == of[0] {
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
	return errors.Join(err, c.Release())
}
