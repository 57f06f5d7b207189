package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"smap/internal/sysexits"
	"smap/spoolfmt"
)

func (a *app) checkCommand() *cobra.Command {
	repair := false
	c := &cobra.Command{
		Use:   "check [flags]",
		Short: "Compare every file with the spool format, and repair it",
		Long: `Check reads every file in the spool and reports what is wrong, with the section
of SPOOL-FORMAT.md. It can run at any time, beside everything else: it does not
take a message on its way for damage.

With --repair it does what any drainer would do: it completes what a crash
interrupted, and sets aside what is malformed. Nothing is lost. Some repairs
take a minute, because a file that looks alone may be half of a message that
another process is moving.

Exit codes: 0, all is in order; 1, everything that was found is repaired; 65,
something is left.`,
		Example: `  smapq check && echo all is well
  smapq check --repair --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.check(c.Context(), repair) },
	}
	c.Flags().BoolVar(&repair, "repair", false, "repair what can be repaired")
	return a.withJSON(c)
}

// A findingJSON is what a program reads of a finding.
type findingJSON struct {
	Section string `json:"section"`
	File    string `json:"file"`
	Text    string `json:"text"`
	Verdict string `json:"verdict"` // note, found, repaired or left
	Why     string `json:"why,omitempty"`
}

// A checkRun is one run of check.
type checkRun struct {
	a      *app
	counts map[string]int
	later  []spoolfmt.Finding // to be repaired when a minute has passed
}

func (a *app) check(ctx context.Context, repair bool) error {
	s, err := a.open(spoolfmt.OpenViewer)
	if err != nil {
		return err
	}
	defer s.Close() // only read
	for b := spoolfmt.New; b <= spoolfmt.Bad; b++ {
		if err := s.Missing(b); errors.Is(err, fs.ErrPermission) {
			return mayLook(filepath.Dir(s.Path(b)))
		}
	}
	run := &checkRun{a: a, counts: make(map[string]int)}
	p := newProgress(a.err, "names looked at:")
	var found []spoolfmt.Finding
	var printErr error
	err = s.Check(ctx, spoolfmt.CheckOptions{Progress: p.at}, func(f spoolfmt.Finding) {
		switch {
		case f.Note:
			printErr = errors.Join(printErr, run.print(&f, "note", nil))
		case repair && len(found) < maxRepairs:
			found = append(found, f)
		default:
			printErr = errors.Join(printErr, run.print(&f, "found", nil))
		}
	})
	p.end()
	if err = errors.Join(err, printErr); err != nil {
		return err
	}
	if len(found) > 0 {
		if err := run.repair(ctx, found); err != nil {
			return err
		}
	}
	return run.end()
}

// maxRepairs bounds what one run repairs; another run continues.
const maxRepairs = 100_000

// repair repairs what was found, and looks whether that helped.
func (r *checkRun) repair(ctx context.Context, found []spoolfmt.Finding) error {
	s, err := r.a.open(spoolfmt.OpenDrainer)
	if err != nil {
		return err
	}
	defer s.Close() // everything that was finished is flushed
	begin := time.Now()
	for i := range found {
		if err := r.mend(ctx, s, &found[i], true); err != nil {
			return err
		}
	}
	if len(r.later) == 0 {
		return nil
	}
	again := time.Until(begin.Add(spoolfmt.LookAgain + time.Second))
	fmt.Fprintf(r.a.err, "smapq: %s to be looked at again in %s\n", several(len(r.later), "file has", "files have"), age(again))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(again):
	}
	for i := range r.later {
		if err := r.mend(ctx, s, &r.later[i], false); err != nil {
			return err
		}
	}
	return nil
}

func (r *checkRun) mend(ctx context.Context, s *spoolfmt.Spool, f *spoolfmt.Finding, first bool) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !f.Mendable() {
		return r.print(f, "left", nil)
	}
	err := f.Mend(s)
	switch {
	case first && (errors.Is(err, spoolfmt.ErrAlone) || errors.Is(err, spoolfmt.ErrLinked)):
		r.later = append(r.later, *f)
		return nil
	case err == nil && !s.Persists(f):
		return r.print(f, "repaired", nil)
	case err == nil:
		err = errors.New("it came back")
	}
	return r.print(f, "left", err)
}

func (r *checkRun) print(f *spoolfmt.Finding, verdict string, why error) error {
	r.counts[verdict]++
	if r.a.json {
		j := findingJSON{Section: f.Section, File: f.File, Text: f.Text, Verdict: verdict}
		if why != nil {
			j.Why = why.Error()
		}
		return r.a.printJSON(j)
	}
	colour := map[string]string{"note": dim, "repaired": green}[verdict]
	if colour == "" {
		colour = red
	}
	text := f.String()
	if verdict != "found" {
		text = verdict + ": " + text
	}
	if why != nil {
		text += ": " + why.Error()
	}
	_, err := fmt.Fprintln(r.a.out, r.a.term.paint(colour, printable(text)))
	return err
}

// end sums up.
func (r *checkRun) end() error {
	left, repaired := r.counts["found"]+r.counts["left"], r.counts["repaired"]
	if !r.a.json {
		text := "All is in order."
		switch {
		case left > 0 && repaired > 0:
			text = fmt.Sprintf("%s repaired, %d left.", plural(repaired, "finding"), left)
		case left > 0 && r.counts["found"] > 0:
			text = plural(left, "finding") + "; smapq check --repair repairs what it can."
		case left > 0:
			text = plural(left, "finding") + " left for a person to look at."
		case repaired > 0:
			text = plural(repaired, "finding") + ", all repaired."
		case r.counts["note"] > 0:
			text = "Nothing needs repair; " + plural(r.counts["note"], "note") + "."
		}
		fmt.Fprintln(r.a.out, text)
	}
	switch {
	case left > 0:
		return failure(sysexits.DataErr, nil)
	case repaired > 0:
		return failure(exRepaired, nil)
	}
	return nil
}
