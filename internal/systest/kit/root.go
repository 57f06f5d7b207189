//go:build system

package kit

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

// Own gives a file of the root to an account of the root, which the package would have done when it was installed.
func (r *Root) Own(name string, uid, gid int, mode os.FileMode) {
	r.T.Helper()
	if err := errors.Join(os.Chown(r.Path(name), uid, gid), os.Chmod(r.Path(name), mode)); err != nil {
		r.T.Fatal(err)
	}
}

// Root is a system of its own below a directory, to chroot into: Debian packages and all that they depend on, unpacked
// and never configured. Mail servers that exclude each other as packages can so be tested on one machine, each with
// its fixed paths, and nothing of this machine is changed.
type Root struct {
	T     *testing.T
	Dir   string
	users int
}

// rootCache keeps the archives from one run to the next: a fresh machine downloads them.
const rootCache = "/var/tmp/smap-systest-packages"

// NewRoot unpacks the packages below s. Essential packages are nobody's dependencies: who needs a shell or ls asks for
// dash or coreutils.
func NewRoot(t *testing.T, s *Site, packages ...string) *Root {
	t.Helper()
	r := &Root{T: t, Dir: s.File("root-" + packages[0])}
	s.Mkdir(r.Dir, 0o755, 0, 0)
	for _, dir := range []string{"dev", "etc", "proc", "run", "tmp", "usr", "var", "var/lib", "var/log", "var/spool"} {
		s.Mkdir(r.Path(dir), 0o755, 0, 0)
	}
	s.Mkdir(r.Path("tmp"), 0o777|os.ModeSticky, 0, 0)
	// Debian's packages still ship files in both places, for a system where these are one.
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		s.Mkdir(r.Path("usr", dir), 0o755, 0, 0)
		if err := os.Symlink("usr/"+dir, r.Path(dir)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/run", r.Path("var/run")); err != nil {
		t.Fatal(err)
	}
	for _, archive := range archives(t, packages...) {
		Run(t, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -xf - --keep-directory-symlink -C "$2"`, "sh", archive, r.Dir)
	}
	r.nodes()
	s.Write(r.Path("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n", 0o644)
	s.Write(r.Path("etc/group"), "root:x:0:\n", 0o644)
	s.Write(r.Path("etc/hosts"), "127.0.0.1 localhost\n", 0o644)
	s.Write(r.Path("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n", 0o644)
	return r
}

// In is the root for a subtest, which fails for itself.
func (r *Root) In(t *testing.T) *Root {
	q := *r
	q.T = t
	return &q
}

// Path names something below the root.
func (r *Root) Path(elem ...string) string {
	return filepath.Join(append([]string{r.Dir}, elem...)...)
}

// nodes makes the devices that every program takes for granted.
func (r *Root) nodes() {
	r.T.Helper()
	for name, number := range map[string]uint64{"null": unix.Mkdev(1, 3), "zero": unix.Mkdev(1, 5),
		"random": unix.Mkdev(1, 8), "urandom": unix.Mkdev(1, 9)} {
		path := r.Path("dev", name)
		if err := errors.Join(unix.Mknod(path, unix.S_IFCHR, int(number)), os.Chmod(path, 0o666)); err != nil {
			r.T.Fatal(err)
		}
	}
}

// Account adds a user and a group of the same name, with ids that this machine does not use.
func (r *Root) Account(name string) (uid, gid int) {
	r.T.Helper()
	r.users++
	id := 61000 + r.users
	for file, format := range map[string]string{"etc/passwd": "%s:x:%[2]d:%[2]d::/nonexistent:/usr/sbin/nologin\n", "etc/group": "%s:x:%d:\n"} {
		f, err := os.OpenFile(r.Path(file), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			r.T.Fatal(err)
		}
		_, err = fmt.Fprintf(f, format, name, id)
		if err := errors.Join(err, f.Close()); err != nil {
			r.T.Fatal(err)
		}
	}
	return id, id
}

// Command is one that sees only the root; name is its path there.
func (r *Root) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.Dir}
	return cmd
}

// Run runs a command of the root to its end and wants it to succeed.
func (r *Root) Run(input, name string, args ...string) string {
	r.T.Helper()
	cmd := r.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.T.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, Tail(string(out), 4000))
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
		Run(t, "apt-get", "-qq", "update")
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

// Outside is a command of the root, with its own libraries, that sees this whole machine: for what starts our programs.
func (r *Root) Outside(name string, args ...string) *exec.Cmd {
	r.T.Helper()
	var found [2]string
	for i, pattern := range []string{"usr/lib*/ld-linux*.so.*", "usr/lib/*-linux-gnu*"} {
		all, err := filepath.Glob(r.Path(pattern))
		if err != nil || len(all) == 0 {
			r.T.Fatalf("no %s in the root: %v", pattern, err)
		}
		found[i] = all[0]
	}
	return exec.Command(found[0], append([]string{"--library-path", found[1] + ":" + found[1] + "/systemd", r.Path(name)}, args...)...)
}
