//go:build system

package kit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
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
	"spamassassin",
	"fuser=psmisc",
	"tmux",
	"s-nail",
	"git",
	"/usr/lib/git-core/git-send-email=git-email libmailtools-perl",
	"php=php-cli",
	"lintian",
	"fail2ban-regex=fail2ban",
	"/usr/lib/nagios/plugins/check_mailq=monitoring-plugins-standard",
	"systemd-analyze=systemd",
	"setpriv=util-linux",
}

// Main runs the tests of a folder, as its TestMain: as root, with all that they call installed, and never while another
// folder's tests run, because they share accounts, Postfix's configuration, and the machine's time.
func Main(m *testing.M) int {
	lock, err := alone()
	if err != nil {
		fmt.Fprintln(os.Stderr, "systest:", err)
		return 69
	}
	defer lock.Close()
	defer restorePostfix()
	return Beside(m, wanted...)
}

// Beside is Main for tests that share nothing but accounts, take hours, and can run beside others. They name the commands
// that they call, each with the Debian package that has it.
func Beside(m *testing.M, commands ...string) int {
	if os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "systest: must run as root, on a machine that nobody misses")
		return 77
	}
	if out, err := exec.Command(Tree(".ci", "need"), commands...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "systest: %v\n%s", err, out)
		return 69
	}
	if err := addAccounts(); err != nil {
		fmt.Fprintln(os.Stderr, "systest:", err)
		return 69
	}
	return m.Run()
}

// alone waits for the lock that only one folder's tests can hold.
func alone() (*os.File, error) {
	f, err := os.OpenFile("/var/tmp/smap-systest.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return f, unix.Flock(int(f.Fd()), unix.LOCK_EX)
}

// Tree names something in the source tree, from the directory of a folder's tests.
func Tree(elem ...string) string {
	return filepath.Join(append([]string{"..", "..", ".."}, elem...)...)
}

// Program is the path of one of our binaries, which make test-system has built.
func Program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(Tree("bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v (make build makes it)", err)
	}
	return path
}
