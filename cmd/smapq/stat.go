package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/spf13/cobra"

	"smap/spoolfmt"
)

// The counts of a spool are what stat shows.
type counts struct {
	Dir    string                `json:"dir"`
	Time   time.Time             `json:"time"`
	States map[string]stateCount `json:"states"`
	TmpN   int                   `json:"tmp_files"`
	Free   uint64                `json:"free_octets"`
	Inodes uint64                `json:"free_inodes,omitempty"` // 0: without limit

	working []ref // some of those in delivery
}

type stateCount struct {
	Messages int        `json:"messages"`
	Octets   int64      `json:"octets"`
	Oldest   *time.Time `json:"oldest,omitempty"`
}

func (a *app) statCommand() *cobra.Command {
	prometheus := false
	c := &cobra.Command{
		Use:   "stat [flags]",
		Short: "Count the messages in the spool",
		Example: `  smapq stat
  smapq stat --json | jq .states.deferred.messages
  smapq stat --prometheus >/var/lib/node_exporter/smap_queue.prom`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if prometheus && a.json {
				return usagef("use only one of --json and --prometheus")
			}
			s, err := a.view()
			if err != nil {
				return err
			}
			defer s.Close() // only read
			t, err := a.count(c.Context(), s)
			switch {
			case err != nil:
				return err
			case a.json:
				return a.printJSON(t)
			case prometheus:
				return a.printPrometheus(t)
			}
			return a.printCounts(t)
		},
	}
	c.Flags().BoolVar(&prometheus, "prometheus", false, "write Prometheus' text format")
	return a.withJSON(c)
}

// count looks at every message without reading any.
func (a *app) count(ctx context.Context, s *spoolfmt.Spool) (*counts, error) {
	dir, _, err := a.locate()
	if err != nil {
		return nil, err
	}
	t := &counts{Dir: dir, Time: a.now().UTC(), States: make(map[string]stateCount)}
	for _, name := range states {
		t.States[name] = stateCount{}
	}
	p := newProgress(a.err, "messages counted:")
	defer p.end()
	var n int
	chunk := make([]ref, 0, chunkSize)
	flush := func() error {
		n += len(chunk)
		p.at(n &^ 255)
		err := t.add(s, chunk)
		chunk = chunk[:0]
		return err
	}
	err = eachRef(ctx, s, walkBoxes(s), func(r ref) error {
		chunk = append(chunk, r)
		if len(chunk) < chunkSize {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil && s.Missing(spoolfmt.Tmp) == nil {
		err = s.Scan(spoolfmt.Tmp, func(spoolfmt.Entry) error { t.TmpN++; return ctx.Err() })
	}
	if err == nil {
		t.Free, t.Inodes, err = s.Free()
	}
	if t.Inodes == math.MaxUint64 {
		t.Inodes = 0
	}
	return t, err
}

// maxWorking is how many messages in delivery are remembered by name.
const maxWorking = 20

// add counts some messages.
func (t *counts) add(s *spoolfmt.Spool, chunk []ref) error {
	var found [chunkSize]struct {
		state string
		info  spoolfmt.Info
		err   error
	}
	parallel(len(chunk), func(i int, _ []byte) {
		r, f := chunk[i], &found[i]
		if f.state, _, f.err = stateOf(s, r, t.Time); f.err != nil {
			return
		}
		name := r.id + spoolfmt.KindContent.Suffix()
		if r.kind == spoolfmt.KindDrop {
			name = r.name()
		}
		f.info, f.err = s.Stat(r.box, name)
		if errors.Is(f.err, fs.ErrNotExist) {
			f.err = nil // an envelope alone, or on its way
		}
	})
	for i := range chunk {
		f := &found[i]
		if errors.Is(f.err, fs.ErrNotExist) {
			continue
		}
		if f.err != nil {
			return f.err
		}
		if f.state == stateDelivering && len(t.working) < maxWorking {
			t.working = append(t.working, chunk[i])
		}
		c := t.States[f.state]
		c.Messages++
		c.Octets += f.info.Size
		if at := f.info.ModTime.UTC(); !f.info.ModTime.IsZero() && (c.Oldest == nil || at.Before(*c.Oldest)) {
			c.Oldest = &at
		}
		t.States[f.state] = c
	}
	return nil
}

func (a *app) printCounts(t *counts) error {
	fmt.Fprintf(a.out, "%s\n", a.term.paint(bold, fmt.Sprintf("%-10s  %8s  %8s  %s", "STATE", "MESSAGES", "SIZE", "OLDEST")))
	for _, name := range states {
		c := t.States[name]
		oldest := ""
		if c.Oldest != nil {
			oldest = age(t.Time.Sub(*c.Oldest))
		}
		fmt.Fprintf(a.out, "%s  %8d  %8s  %s\n", a.term.paint(stateColour(name), fmt.Sprintf("%-10s", name)), c.Messages, size(c.Octets), oldest)
	}
	_, err := fmt.Fprintf(a.out, "%s in tmp, %s free in %s\n", plural(t.TmpN, "file"), size(int64(min(t.Free, math.MaxInt64))), t.Dir)
	return err
}

func (a *app) printPrometheus(t *counts) error {
	series := func(name, help string, value func(stateCount) (float64, bool)) {
		fmt.Fprintf(a.out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
		for _, state := range states {
			if v, ok := value(t.States[state]); ok {
				fmt.Fprintf(a.out, "%s{state=%q} %v\n", name, state, v)
			}
		}
	}
	series("smapq_messages", "Messages in the spool by state.", func(c stateCount) (float64, bool) { return float64(c.Messages), true })
	series("smapq_octets", "Octets of their contents.", func(c stateCount) (float64, bool) { return float64(c.Octets), true })
	series("smapq_oldest_seconds", "Seconds since the oldest of them arrived.", func(c stateCount) (float64, bool) {
		if c.Oldest == nil {
			return 0, true
		}
		return max(t.Time.Sub(*c.Oldest).Round(time.Millisecond).Seconds(), 0), true
	})
	_, err := fmt.Fprintf(a.out, "# HELP smapq_free_octets Octets left on the spool's file system.\n# TYPE smapq_free_octets gauge\nsmapq_free_octets %d\n", t.Free)
	return err
}
