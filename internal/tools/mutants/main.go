// Command mutants breaks spoolfmt and the dot reader on purpose, one change of
// list.txt after the other, and wants their tests to fail. It changes no file:
// the go command reads the broken one through -overlay.
//
//	mutants [FIRST]
//
// FIRST is the number of the mutant to begin with, for who works on the list.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// enough is the part of all mutants that must be killed, in percent.
const enough = 95

// A mutant is one change of one file.
type mutant struct {
	file     string
	old, new string // whole lines
	survives string // why no test can see it
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile("internal/tools/mutants/list.txt")
	if err != nil {
		return err
	}
	all, err := parse(string(text))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	begin := time.Now()
	if out, err := exec.Command("go", arguments("", mutant{file: "spoolfmt/x"}, time.Hour)...).CombinedOutput(); err != nil {
		return fmt.Errorf("the tests fail without any mutant: %w\n%s", err, out)
	}
	limit := time.Minute + 5*time.Since(begin) // a busy machine is no dead mutant
	first := 1
	if len(os.Args) > 1 {
		if first, err = strconv.Atoi(os.Args[1]); err != nil || first < 1 || first > len(all) {
			return fmt.Errorf("%s is no number of a mutant", os.Args[1])
		}
	}
	killed, unexplained := 0, 0
	for i, m := range all {
		if i+1 < first {
			continue
		}
		dead, late, err := m.try(dir, limit)
		switch {
		case err != nil:
			return fmt.Errorf("mutant %d of %s: %w", i+1, m.file, err)
		case dead && m.survives != "":
			return fmt.Errorf("mutant %d of %s was killed, and its explanation says that it cannot be", i+1, m.file)
		case dead:
			killed++
			how := "killed   "
			if late {
				how = "timed out"
			}
			fmt.Printf("%s %2d %s\n", how, i+1, m.file)
		default:
			if m.survives == "" {
				unexplained++
			}
			fmt.Printf("survived  %2d %s: %s\n%s%s", i+1, m.file, m.survives, lines("\t-", m.old), lines("\t+", m.new))
		}
	}
	tried := len(all) - first + 1
	fmt.Printf("mutants: %d of %d killed, %d survivors without explanation\n", killed, tried, unexplained)
	if killed*100 < enough*tried || unexplained > 0 {
		return errors.New("the tests are too weak")
	}
	return nil
}

// parse reads blocks, which an empty line ends.
func parse(text string) ([]mutant, error) {
	var all []mutant
	for block := range strings.SplitSeq(text, "\n\n") {
		var m mutant
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			switch {
			case line == "" || line[0] == '#':
			case line[0] == '-':
				m.old += line[1:] + "\n"
			case line[0] == '+':
				m.new += line[1:] + "\n"
			case strings.HasPrefix(line, "survives: "):
				m.survives = line[len("survives: "):]
			case m.file == "":
				m.file = line
			default:
				return nil, fmt.Errorf("list.txt: %q is not understood", line)
			}
		}
		switch {
		case m == (mutant{}): // comments
		case m.file == "" || m.old == "" || m.old == m.new:
			return nil, fmt.Errorf("list.txt: %q is no mutant", block)
		default:
			all = append(all, m)
		}
	}
	return all, nil
}

// apply makes the change, which must be possible in exactly one place.
func (m mutant) apply(source string) (string, error) {
	if n := strings.Count(source, "\n"+m.old); n != 1 {
		return "", fmt.Errorf("the old lines occur %d times:\n%s", n, m.old)
	}
	return strings.Replace(source, "\n"+m.old, "\n"+m.new, 1), nil
}

// try tells whether the tests notice the mutant, and whether it took them too
// long. One that does not compile is an error: nothing was tested.
func (m mutant) try(dir string, limit time.Duration) (killed, late bool, err error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return false, false, err
	}
	broken, err := m.apply(string(source))
	if err != nil {
		return false, false, err
	}
	path, err := filepath.Abs(m.file)
	if err != nil {
		return false, false, err
	}
	other, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{path: other}})
	if err != nil {
		return false, false, err
	}
	if err := errors.Join(os.WriteFile(other, []byte(broken), 0o600), os.WriteFile(overlay, list, 0o600)); err != nil {
		return false, false, err
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "./"+filepath.Dir(m.file)).CombinedOutput(); err != nil {
		return false, false, fmt.Errorf("go build: %w\n%s", err, out)
	}
	out, err := exec.Command("go", arguments(overlay, m, limit)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return false, false, err
	}
	if err != nil && !strings.Contains(string(out), "--- FAIL") && !strings.Contains(string(out), "panic: ") {
		return false, false, fmt.Errorf("go test failed without a failing test:\n%s", out)
	}
	return err != nil, strings.Contains(string(out), "panic: test timed out"), nil
}

// arguments are the arguments of the go command. The dot reader's own tests have
// to suffice; a mutant that makes an endless loop is killed by the time-out.
func arguments(overlay string, m mutant, limit time.Duration) []string {
	which, where := ".", "./"+filepath.Dir(m.file)
	switch {
	case m.file == "receiver/dot.go":
		which = "Decode"
	case strings.HasPrefix(m.file, "spoolfmt/"):
		where = "./spoolfmt/..." // the vectors test the codec, too
	}
	return []string{"test", "-overlay", overlay, "-vet=off", "-failfast", "-short", "-timeout", limit.String(), "-run", which, where}
}

func lines(before, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(before + line)
	}
	return b.String()
}
