package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"smap/internal/sysexits"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

type showOptions struct {
	content bool
	raw     bool
}

func (a *app) showCommand() *cobra.Command {
	var o showOptions
	c := &cobra.Command{
		Use:   "show [flags] ID...",
		Short: "Show a message: its envelope and its header",
		Example: `  smapq show 20261123T200413.123456Z-7f3a9c1e2b4d5e6f
  smapq show --content ID | less
  smapq show --raw ID >message.eml`,
		Args:              atLeast(noMessage("show")),
		ValidArgsFunction: a.completeIDs(spoolfmt.New, spoolfmt.Cur, spoolfmt.Bad),
		RunE: func(c *cobra.Command, ids []string) error {
			if a.json && (o.raw || o.content) || o.raw && o.content {
				return usagef("use only one of --json, --raw and --content")
			}
			return a.show(c.Context(), ids, o)
		},
	}
	c.Flags().BoolVar(&o.content, "content", false, "show the envelope and the whole content, not only its header")
	c.Flags().BoolVar(&o.raw, "raw", false, "write the content alone, octet for octet")
	return a.withJSON(c)
}

func (a *app) show(ctx context.Context, ids []string, o showOptions) error {
	s, err := a.view()
	if err != nil {
		return err
	}
	defer s.Close() // only read
	if ids, err = resolve(ctx, s, ids); err != nil {
		return err
	}
	for i, id := range ids {
		r, err := find(s, id)
		if err != nil {
			return err
		}
		switch {
		case o.raw:
			err = a.copyContent(s, r, false)
		case a.json:
			err = a.showJSON(s, r)
		default:
			if i > 0 {
				fmt.Fprintln(a.out)
			}
			err = a.showText(s, r, o.content)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// find looks for a message where it may be; it moves while we look, always in
// this direction.
func find(s *spoolfmt.Spool, id string) (ref, error) {
	for _, b := range walkBoxes(s) {
		for _, k := range []spoolfmt.Kind{spoolfmt.KindEnvelope, spoolfmt.KindDrop, spoolfmt.KindContent} {
			if k == spoolfmt.KindContent && b != spoolfmt.Bad {
				continue
			}
			r := ref{id: id, box: b, kind: k}
			switch _, err := s.Stat(b, r.name()); {
			case err == nil:
				return r, nil
			case !errors.Is(err, fs.ErrNotExist):
				return ref{}, err
			}
		}
	}
	return ref{}, fmt.Errorf("%s: %w in the spool; smapq list shows what there is", id, spoolfmt.ErrGone)
}

// showText shows a message to a person. Control characters of strangers do not
// reach the terminal.
func (a *app) showText(s *spoolfmt.Spool, r ref, content bool) error {
	state, _, err := stateOf(s, r, a.now())
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s %s\n", a.term.paint(bold, r.id), a.term.paint(stateColour(state), state))
	if r.kind == spoolfmt.KindEnvelope {
		raw, err := s.ReadFile(r.box, r.name(), envelope.MaxSize, nil)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(raw)) {
			name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			if !ok {
				fmt.Fprintln(a.out, printable(name))
				continue
			}
			fmt.Fprintf(a.out, "%s %s\n", a.term.paint(dim, printable(name)+":"), printable(value))
		}
		if r.box == spoolfmt.Bad {
			_, raw = envelope.CutReason(raw)
		}
		if _, err := envelope.Parse(raw); err != nil {
			fmt.Fprintln(a.out, a.term.paint(red, "malformed: "+err.Error()))
		}
	}
	return a.copyContent(s, r, !content)
}

// printable replaces what a terminal would obey.
func printable(s string) string { return envelope.CleanText(s, len(s)+1) }

// maxHeader bounds how much of a content is looked through for the end of its
// header.
const maxHeader = 1 << 20

// copyContent writes a message's content, or its header alone.
func (a *app) copyContent(s *spoolfmt.Spool, r ref, headerOnly bool) error {
	name := r.id + spoolfmt.KindContent.Suffix()
	if r.kind == spoolfmt.KindDrop {
		name = r.name()
	}
	f, err := s.Open(r.box, name)
	if errors.Is(err, fs.ErrNotExist) {
		return failf(sysexits.NoInput, "%s: the content file is missing; smapq check shows more", r.id)
	}
	if err != nil {
		return err
	}
	defer f.Close() // only read
	safe := a.term.width > 0
	if !headerOnly && !safe {
		_, err := io.Copy(a.out, f)
		return err
	}
	in := bufio.NewReader(f)
	for n := 0; ; {
		line, err := in.ReadSlice('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		n += len(line)
		if headerOnly && (n > maxHeader || string(line) == "\n") {
			return nil
		}
		text, end := strings.CutSuffix(string(line), "\n")
		if safe {
			text = printableLine(text)
		}
		if end {
			text += "\n"
		}
		if _, err := io.WriteString(a.out, text); err != nil {
			return err
		}
	}
}

// printableLine is printable for a line whose blanks are its layout.
func printableLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r <= 0x9f {
			return '?'
		}
		return r
	}, s)
}

func (a *app) showJSON(s *spoolfmt.Spool, r ref) error {
	out := struct {
		row
		Envelope *envelope.Value `json:"envelope"`
	}{}
	var err error
	if out.row, err = read(s, r, a.now(), nil, a.shut(s)); err != nil {
		return err
	}
	if r.kind == spoolfmt.KindEnvelope {
		raw, err := s.ReadFile(r.box, r.name(), envelope.MaxSize+1, nil)
		if err != nil {
			return err
		}
		_, rest := envelope.CutReason(raw)
		if e, err := envelope.Parse(rest); err == nil {
			v := e.Value()
			out.Envelope = &v
		}
	}
	return a.printJSON(out)
}
