package main

import (
	"bufio"
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manual returns what smapq(1) says of options, by its subsections.
func manual(t *testing.T) map[string][]string {
	t.Helper()
	data, err := os.ReadFile("../../man/smapq.1")
	if err != nil {
		t.Fatal(err)
	}
	option := regexp.MustCompile(`Fl (\S+)`)
	found := make(map[string][]string)
	heading := ""
	for _, l := range strings.Split(string(data), "\n") {
		switch {
		case strings.HasPrefix(l, ".Sh "):
			heading = ""
		case strings.HasPrefix(l, ".Ss "):
			heading = strings.TrimPrefix(l, ".Ss ")
			found[heading] = nil
		case strings.HasPrefix(l, ".It Fl ") && heading != "":
			for _, m := range option.FindAllStringSubmatch(l, -1) {
				found[heading] = append(found[heading], m[1])
			}
		}
	}
	return found
}

// options are a command's, as the manual spells them.
func options(set *pflag.FlagSet) []string {
	var all []string
	set.VisitAll(func(f *pflag.Flag) {
		all = append(all, "-"+f.Name)
		if f.Shorthand != "" {
			all = append(all, f.Shorthand)
		}
	})
	return all
}

func tree() *cobra.Command {
	a := &app{out: bufio.NewWriter(os.Stdout), err: os.Stderr, getenv: os.Getenv}
	root := a.root(func() {})
	root.InitDefaultHelpFlag()
	root.InitDefaultVersionFlag()
	return root
}

// TestManual: every command and every option is in the manual, and the manual
// has no other.
func TestManual(t *testing.T) {
	said := manual(t)
	root := tree()
	has := map[string][]string{"Options of all commands": append(options(root.PersistentFlags()), "h", "-help", "v", "-version")}
	for _, c := range root.Commands() {
		has["smapq "+c.Name()] = options(c.LocalNonPersistentFlags())
	}
	for heading, want := range has {
		i := ""
		for h := range said {
			if h == heading || strings.HasPrefix(h, heading+" ") {
				i = h
			}
		}
		if i == "" {
			t.Errorf("the manual has no section for %s", heading)
			continue
		}
		got := said[i]
		delete(said, i)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the manual has %q, the code %q", heading, got, want)
		}
	}
	for h := range said {
		if !strings.HasPrefix(h, "sendmail ") && !strings.HasPrefix(h, "smapq completion ") {
			t.Errorf("the manual has a section %q that is none of a command", h)
		}
	}
}

// TestManualSendmail tries what the manual says of sendmail.
func TestManualSendmail(t *testing.T) {
	for heading, flags := range manual(t) {
		if !strings.HasPrefix(heading, "sendmail ") {
			continue
		}
		if len(flags) < 10 {
			t.Errorf("only %q", flags)
		}
		for _, f := range flags {
			mode := sendmailMode('m')
			values := map[string]string{"N": "never", "R": "full", "V": "x", "O": "x=y", "f": "a@b", "r": "a@b", "F": "x"}
			args := []string{"-" + f}
			if v := values[f]; v != "" {
				args = append(args, v)
			}
			rest, err := (&submission{}).option(args, &mode)
			if err != nil || len(rest) > 0 || !strings.ContainsRune("mspiq", rune(mode)) {
				t.Errorf("-%s: %v, %q left, mode %c", f, err, rest, mode)
			}
		}
		return
	}
	t.Error("the manual has no section for sendmail")
}

// TestCompletions holds contrib/completion against what the program writes.
// With -update it writes them.
func TestCompletions(t *testing.T) {
	root := tree()
	for file, make := range map[string]func(*bytes.Buffer) error{
		"smapq.bash": func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) },
		"_smapq":     func(b *bytes.Buffer) error { return root.GenZshCompletion(b) },
		"smapq.fish": func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) },
	} {
		var b bytes.Buffer
		if err := make(&b); err != nil {
			t.Fatal(err)
		}
		path := "../../contrib/completion/" + file
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, b.Bytes()) {
			t.Errorf("%s is not what the program writes; UPDATE=1 go test -run Completions ./cmd/smapq makes it so", path)
		}
	}
}

// TestHelp: every command explains itself within 80 columns, with an example.
func TestHelp(t *testing.T) {
	root := tree()
	for _, c := range append(root.Commands(), root) {
		if c.Example == "" {
			t.Errorf("%s has no example", c.Name())
		}
		var b bytes.Buffer
		c.SetOut(&b)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
				t.Errorf("%s: %d columns: %s", c.Name(), n, line)
			}
		}
	}
}
