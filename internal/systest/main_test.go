//go:build system

package systest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// wanted are the commands that the tests call, each with the Debian package that has it.
var wanted = []string{
	"inetd=openbsd-inetd",
	"postfix",
	"smtp-source=postfix",
	"swaks",
	"curl",
	"/usr/bin/python3=python3",
	"useradd=passwd",
	"pgrep=procps",
	"strace",
	"mkfs.ext4=e2fsprogs",
	"mkfs.xfs=xfsprogs",
	"mkfs.btrfs=btrfs-progs",
	"mount",
	"ip=iproute2",
	"bindfs",
	"mfsmaster=moosefs-master",
	"mfschunkserver=moosefs-chunkserver",
	"mfsmount=moosefs-client",
	"/usr/lib/python3.11/test/test_email/data=libpython3.11-testsuite",
	"ripmime",
	"tmux",
	"s-nail",
	"git",
	"/usr/lib/git-core/git-send-email=git-email libmailtools-perl",
	"php=php-cli",
	"lintian",
	"systemd-analyze=systemd",
	"setpriv=util-linux",
}

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	if os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "systest: must run as root, on a machine that nobody misses")
		return 77
	}
	if out, err := exec.Command("../../.ci/need", wanted...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "systest: %v\n%s", err, out)
		return 69
	}
	if err := addAccounts(); err != nil {
		fmt.Fprintln(os.Stderr, "systest:", err)
		return 69
	}
	defer restorePostfix()
	return m.Run()
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
