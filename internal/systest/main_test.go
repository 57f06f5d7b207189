//go:build system

package systest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// packages are installed from Debian before the first test; each is wanted by its command.
var packages = map[string]string{
	"inetd":       "openbsd-inetd",
	"postfix":     "postfix",
	"smtp-source": "postfix",
	"swaks":       "swaks",
	"curl":        "curl",
	"python3":     "python3",
	"useradd":     "passwd",
	"git":         "git",
}

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	if os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "systest: must run as root, on a machine that nobody misses")
		return 77
	}
	if err := install(packages); err != nil {
		fmt.Fprintln(os.Stderr, "systest:", err)
		return 69
	}
	if err := addAccounts(); err != nil {
		fmt.Fprintln(os.Stderr, "systest:", err)
		return 69
	}
	defer restorePostfix()
	return m.Run()
}

// install gets what is missing with apt-get, and sees to it that no package starts its service.
func install(want map[string]string) error {
	var missing []string
	for command, name := range want {
		if _, err := exec.LookPath(command); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	fmt.Println("systest: installing", strings.Join(missing, " "))
	const policy = "/usr/sbin/policy-rc.d"
	if _, err := os.Lstat(policy); os.IsNotExist(err) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return err
		}
		defer os.Remove(policy)
	}
	if err := apt("-qq", "update"); err != nil {
		return err
	}
	return apt(append([]string{"-qq", "install", "--no-install-recommends", "-y"}, missing...)...)
}

func apt(args ...string) error {
	cmd := exec.Command("apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// program is the path of one of our binaries, which make test-system has built.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v (make build makes it)", err)
	}
	return path
}
