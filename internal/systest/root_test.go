//go:build system

package systest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// root is a system of its own below a directory, to chroot into: Debian packages and all that they depend on, unpacked
// and never configured. Mail servers that exclude each other as packages can so be tested on one machine, each with
// its fixed paths, and nothing of this machine is changed.
type root struct {
	t     *testing.T
	dir   string
	users int
}

// rootCache keeps the archives from one run to the next: a fresh machine downloads them.
const rootCache = "/var/tmp/smap-systest-packages"

// newRoot unpacks the packages below s. Essential packages are nobody's dependencies: who needs a shell or ls asks for
// dash or coreutils.
func newRoot(t *testing.T, s *site, packages ...string) *root {
	t.Helper()
	r := &root{t: t, dir: s.file("root-" + packages[0])}
	s.mkdir(r.dir, 0o755, 0, 0)
	for _, dir := range []string{"dev", "etc", "proc", "run", "tmp", "usr", "var", "var/lib", "var/log", "var/spool"} {
		s.mkdir(r.path(dir), 0o755, 0, 0)
	}
	s.mkdir(r.path("tmp"), 0o777|os.ModeSticky, 0, 0)
	// Debian's packages still ship files in both places, for a system where these are one.
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		s.mkdir(r.path("usr", dir), 0o755, 0, 0)
		if err := os.Symlink("usr/"+dir, r.path(dir)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/run", r.path("var/run")); err != nil {
		t.Fatal(err)
	}
	for _, archive := range archives(t, packages...) {
		run(t, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -xf - --keep-directory-symlink -C "$2"`, "sh", archive, r.dir)
	}
	r.nodes()
	s.write(r.path("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n", 0o644)
	s.write(r.path("etc/group"), "root:x:0:\n", 0o644)
	s.write(r.path("etc/hosts"), "127.0.0.1 localhost\n", 0o644)
	s.write(r.path("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n", 0o644)
	return r
}

// in is the root for a subtest, which fails for itself.
func (r *root) in(t *testing.T) *root {
	q := *r
	q.t = t
	return &q
}

func (r *root) path(elem ...string) string {
	return filepath.Join(append([]string{r.dir}, elem...)...)
}

// nodes makes the devices that every program takes for granted.
func (r *root) nodes() {
	r.t.Helper()
	for name, number := range map[string]uint64{"null": unix.Mkdev(1, 3), "zero": unix.Mkdev(1, 5),
		"random": unix.Mkdev(1, 8), "urandom": unix.Mkdev(1, 9)} {
		path := r.path("dev", name)
		if err := errors.Join(unix.Mknod(path, unix.S_IFCHR, int(number)), os.Chmod(path, 0o666)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// account adds a user and a group of the same name, with ids that this machine does not use.
func (r *root) account(name string) (uid, gid int) {
	r.t.Helper()
	r.users++
	id := 61000 + r.users
	for file, format := range map[string]string{"etc/passwd": "%s:x:%[2]d:%[2]d::/nonexistent:/usr/sbin/nologin\n", "etc/group": "%s:x:%d:\n"} {
		f, err := os.OpenFile(r.path(file), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		_, err = fmt.Fprintf(f, format, name, id)
		if err := errors.Join(err, f.Close()); err != nil {
			r.t.Fatal(err)
		}
	}
	return id, id
}

// command is one that sees only the root; name is its path there.
func (r *root) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.dir}
	return cmd
}

// run runs a command of the root to its end and wants it to succeed.
func (r *root) run(input, name string, args ...string) string {
	r.t.Helper()
	cmd := r.command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, tail(string(out), 4000))
	}
	return string(out)
}

// archives downloads the packages with all dependencies and gives the files' paths.
func archives(t *testing.T, packages ...string) []string {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(rootCache, "partial"), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(rootCache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	files, err := download(t, packages)
	if err != nil {
		// A fresh machine has no lists of packages, and another one may have old ones.
		run(t, "apt-get", "-qq", "update")
		files, err = download(t, packages)
	}
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func download(t *testing.T, packages []string) ([]string, error) {
	t.Helper()
	empty := t.TempDir()
	if err := os.MkdirAll(filepath.Join(empty, "partial"), 0o700); err != nil {
		return nil, err
	}
	list, err := apt(empty, "--print-uris", packages)
	if err != nil {
		return nil, err
	}
	var files []string
	missing := 0
	for line := range strings.Lines(list) {
		f := strings.Fields(line) // 'URI' name size hash
		if len(f) < 3 || !strings.HasPrefix(f[0], "'") {
			continue
		}
		path := filepath.Join(rootCache, f[1])
		files = append(files, path)
		if _, err := os.Stat(path); err != nil {
			size, _ := strconv.Atoi(f[2])
			missing += size
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("apt-get names no archives for %v: %s", packages, list)
	}
	if missing > 0 {
		t.Logf("downloading %d MB for %v", (missing+999_999)/1_000_000, packages)
		if _, err := apt(rootCache, "--download-only", packages); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// apt plans the installation of packages on a machine that has none: apt-get then names or downloads all of them.
func apt(cache, what string, packages []string) (string, error) {
	cmd := exec.Command("apt-get", append([]string{"-qq", "-y", "-o", "Dir::State::status=/dev/null", "-o", "Dir::Cache::archives=" + cache,
		"-o", "Dir::Cache::pkgcache=", "-o", "Debug::NoLocking=true", "-o", "APT::Install-Recommends=false", "-o", "APT::Sandbox::User=root",
		what, "install"}, packages...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("apt-get %s %v: %w: %s", what, packages, err, exit.Stderr)
	}
	return string(out), err
}

// outside is a command of the root, with its own libraries, that sees this whole machine: for what starts our programs.
func (r *root) outside(name string, args ...string) *exec.Cmd {
	r.t.Helper()
	var found [2]string
	for i, pattern := range []string{"usr/lib*/ld-linux*.so.*", "usr/lib/*-linux-gnu*"} {
		all, err := filepath.Glob(r.path(pattern))
		if err != nil || len(all) == 0 {
			r.t.Fatalf("no %s in the root: %v", pattern, err)
		}
		found[i] = all[0]
	}
	return exec.Command(found[0], append([]string{"--library-path", found[1] + ":" + found[1] + "/systemd", r.path(name)}, args...)...)
}
