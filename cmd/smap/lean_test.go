package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// ownEntry tells whether the lean program begins with instructions of its own.
const ownEntry = runtime.GOOS == "linux" && runtime.GOARCH == "amd64"

// buildLean builds the lean program as make build does.
func buildLean(t *testing.T, dir string) string {
	t.Helper()
	smap, flags := filepath.Join(dir, "smap"), ""
	if ownEntry {
		flags = "-E main.entry"
	}
	build := exec.Command("go", "build", "-tags", "lean", "-ldflags", flags, "-o", smap, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return smap
}

// TestLean has the lean program make way where the table asks for more than it
// has, and refuse to serve, not serve with less, where the whole one is missing.
func TestLean(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	smap := buildLean(t, dir)
	table := func(name, rules string) string {
		path := filepath.Join(dir, name)
		text := "smap: directory " + filepath.Join(dir, "spool") + "\nsmap: userid 65534\nsmap: hostname lean.test\n" + rules
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := os.Mkdir(filepath.Join(dir, "spool"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "spool"), 0o777); err != nil { // whoever smap is
		t.Fatal(err)
	}
	run := func(args ...string) (stdout, stderr string, code int) {
		var out, log strings.Builder
		cmd := exec.Command(smap, append(args, "-log", "stderr")...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("QUIT\r\n"), &out, &log
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return out.String(), log.String(), cmd.ProcessState.ExitCode()
	}
	for _, name := range []string{"cert", "key"} { // the whole program reads them
		if err := os.WriteFile(filepath.Join(dir, name), []byte("PEM\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct {
		name string
		args []string
	}{
		{"tls", []string{"-c", table("tls", "smap: tls-cert "+dir+"/cert\nsmap: tls-key "+dir+"/key\n")}},
		{"names", []string{"-c", table("names", "smap: names yes\n")}},
		{"ident", []string{"-c", table("ident", "smap: ident yes\n")}},
		{"listen", []string{"-c", table("listen", ""), "-listen", "127.0.0.1:0"}},
		{"check", []string{"-c", table("check", ""), "-t"}},
	}
	if out, log, code := run("-c", table("plain", "")); code != 0 || !strings.HasPrefix(out, "220 lean.test ") {
		t.Errorf("in plain: exit code %d, %q\n%s", code, out, log)
	}
	for _, c := range cases {
		out, log, code := run(c.args...)
		if code == 0 || strings.Contains(out, "220 ") || !strings.Contains(out+log, "smap-server") {
			t.Errorf("%s without smap-server: exit code %d, %q\n%s", c.name, code, out, log)
		}
	}
	script := "#!/bin/sh\necho replaced \"$@\" ${GOMAXPROCS-as it is}\n"
	if err := os.WriteFile(smap+"-server", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		want := "replaced " + strings.Join(c.args, " ") + " -log stderr as it is\n"
		if out, log, code := run(c.args...); code != 0 || out != want {
			t.Errorf("%s: exit code %d, %q, want %q\n%s", c.name, code, out, want, log)
		}
	}
}

// TestEntry looks at what the runtime finds: one processor, unless somebody wants
// another number, and arguments and environment as they were; and at what the whole
// program is given, which is neither more nor less.
func TestEntry(t *testing.T) {
	t.Parallel()
	if !ownEntry {
		t.Skip("the lean program has no entry of its own for this machine")
	}
	smap := buildLean(t, t.TempDir())
	script := "#!/bin/sh\necho \"$#\" \"$@\"; exec env\n"
	if err := os.WriteFile(smap+"-server", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	many := []string{"LAST=" + strings.Repeat("x", 100_000)}
	for i := range 1000 {
		many = append(many, fmt.Sprintf("V%d=%d", i, i))
	}
	for _, c := range []struct {
		env        []string
		processors string
	}{
		{nil, "1"}, {[]string{"A=b"}, "1"}, {[]string{"A=b", "C="}, "1"}, {many, "1"},
		{[]string{"GOMAXPROCS=2"}, "2"}, {[]string{"GOMAXPROCS=3", "A=b"}, "3"},
	} {
		env := append([]string{"PATH=/usr/bin:/bin", "GODEBUG=schedtrace=1"}, c.env...)
		for _, more := range [][]string{nil, {"-c", ""}, {"-c", "a b", "-log", "stderr"}} {
			args := append([]string{"-listen", "127.0.0.1:0"}, more...)
			trace, first, got := entered(t, smap, args, env)
			if !strings.Contains(trace, " gomaxprocs="+c.processors+" ") {
				t.Errorf("%q, %d variables: want %s processors: %.200s", args, len(env), c.processors, trace)
			}
			if want := fmt.Sprint(len(args), " ", strings.Join(args, " ")); first != want {
				t.Errorf("arguments: %q, want %q", first, want)
			}
			got = slices.DeleteFunc(got, func(v string) bool { // the shell's own
				return strings.HasPrefix(v, "PWD=") || strings.HasPrefix(v, "OLDPWD=") || strings.HasPrefix(v, "SHLVL=") || strings.HasPrefix(v, "_=")
			})
			slices.Sort(got)
			if want := slices.Sorted(slices.Values(env)); !slices.Equal(got, want) {
				t.Errorf("environment: %.300q, want %.300q", got, want)
			}
		}
	}
}

// entered runs the lean program until the runtime has given a whole account of
// itself, which may come too late, and returns that, and the first line and the
// others of what it is replaced by.
func entered(t *testing.T, smap string, args, env []string) (trace, first string, rest []string) {
	t.Helper()
	for range 100 {
		var out, errs strings.Builder
		cmd := exec.Command(smap, args...)
		cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("%q, %d variables: %v\n%.200s", args, len(env), err, errs.String())
		}
		trace = errs.String()
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		first, rest = lines[0], lines[1:]
		if strings.Contains(trace, " idleprocs=") {
			break
		}
	}
	return trace, first, rest
}
