package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// leanFlags are those of make build.
func leanFlags() string {
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		return "-E main.entry"
	}
	return ""
}

// TestLean has the lean program make way where the table asks for more than it
// has, and refuse to serve, not serve with less, where the whole one is missing.
func TestLean(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	smap := filepath.Join(dir, "smap")
	build := exec.Command("go", "build", "-tags", "lean", "-ldflags", leanFlags(), "-o", smap, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
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
// another number, and arguments and environment as they were.
func TestEntry(t *testing.T) {
	t.Parallel()
	if leanFlags() == "" {
		t.Skip("the lean program has no entry of its own for this machine")
	}
	dir := t.TempDir()
	smap := filepath.Join(dir, "smap")
	build := exec.Command("go", "build", "-tags", "lean", "-ldflags", leanFlags(), "-o", smap, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	script := "#!/bin/sh\necho \"$#\" \"$@\"; exec env\n"
	if err := os.WriteFile(smap+"-server", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	many := []string{"LAST=" + strings.Repeat("x", 100_000)}
	for i := range 1000 {
		many = append(many, fmt.Sprintf("V%d=%d", i, i))
	}
	for _, env := range [][]string{nil, {"A=b"}, {"A=b", ""}, {"A=b", "C="}, many, {"GOMAXPROCS=2"}, {"GOMAXPROCS=3", "A=b"}} {
		want := "1"
		if len(env) > 0 && strings.HasPrefix(env[0], "GOMAXPROCS=") {
			_, want, _ = strings.Cut(env[0], "=")
		}
		for _, args := range [][]string{nil, {"-c", ""}, {"-c", "a b", "-log", "stderr"}} {
			var out, trace strings.Builder
			for range 100 { // the runtime's account of itself may come too late, or not whole
				out.Reset()
				trace.Reset()
				cmd := exec.Command(smap, append([]string{"-listen", "127.0.0.1:0"}, args...)...)
				cmd.Env = append([]string{"PATH=/usr/bin:/bin", "GODEBUG=schedtrace=1"}, env...)
				cmd.Stdout, cmd.Stderr = &out, &trace
				if err := cmd.Run(); err != nil {
					t.Fatalf("%q, %d variables: %v\n%.200s", args, len(env), err, trace.String())
				}
				if strings.Contains(trace.String(), " idleprocs=") {
					break
				}
			}
			if !strings.Contains(trace.String(), " gomaxprocs="+want+" ") {
				t.Errorf("%q, %d variables: want %s processors: %.200s", args, len(env), want, trace.String())
			}
			first, rest, _ := strings.Cut(out.String(), "\n")
			if got := fmt.Sprintf("%d %s", 2+len(args), strings.Join(append([]string{"-listen", "127.0.0.1:0"}, args...), " ")); first != got {
				t.Errorf("arguments: %q, want %q", first, got)
			}
			for _, v := range env {
				if v != "" && !strings.Contains("\n"+rest, "\n"+v+"\n") {
					t.Errorf("%q, %d variables: %.40s is not there", args, len(env), v)
				}
			}
			if strings.Contains(rest, onlyOneOfEntry) {
				t.Errorf("the whole program has %s", onlyOneOfEntry)
			}
		}
	}
}

// onlyOneOfEntry is onlyOne of lean.go, which is not built here.
const onlyOneOfEntry = "GOMAXPROCS=01"
