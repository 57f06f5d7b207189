//go:build system && guests

package guests

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
	"smap/internal/tools/initramfs"
)

// A guest is a machine that is about to run.
type guest struct {
	name    string
	debian  debian
	modules []string
	jobs    []string          // "NAME DIR COMMAND ARGS..."
	files   map[string]string // besides our programs: name in the guest, path here
	tree    string            // a directory with a system of Debian's packages, or none
	options []string          // of QEMU
	limit   time.Duration
}

// programs are what every guest has in /bin.
var programs = []string{"./cmd/smap", "./cmd/smapd", "./cmd/smapq", "./internal/tools/guest"}

// accounts are a guest's, with the numbers that the test's own accounts have on this machine, which mounts its disks too.
func accounts(t *testing.T) (passwd, group string) {
	t.Helper()
	smap, feeders := kit.IDs(t, kit.SmapUser)
	smapd, own := kit.IDs(t, kit.SmapdUser)
	return fmt.Sprintf("root:x:0:0::/:/bin/sh\n_rpc:x:101:101::/:/bin/false\nstatd:x:102:102::/:/bin/false\nsmap:x:%d:%d::/:/bin/false\nsmapd:x:%d:%d::/:/bin/false\n", smap, feeders, smapd, own),
		fmt.Sprintf("root:x:0:\nsmapfeed:x:%d:\nsmapd:x:%d:\n", feeders, own)
}

// build compiles what go build takes for the guest's machine.
func (g *guest) build(t *testing.T, out string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", append(args[:len(args)-1:len(args)-1], "-trimpath", "-o", out, args[len(args)-1])...)
	cmd.Dir = kit.Tree()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+g.debian.arch)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, b)
	}
	return out
}

// pack makes the guest's first file system.
func (g *guest) pack(t *testing.T, dir, kernel string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	a := initramfs.NewWriter(z)
	if g.tree != "" {
		plant(t, a, g.tree) // first: where bin is a link, our programs follow it
	}
	a.Device("dev/console", 5, 1)
	a.Dir("etc")
	passwd, group := accounts(t)
	a.File("etc/passwd", 0o644, []byte(passwd))
	a.File("etc/group", 0o644, []byte(group))
	a.File("jobs", 0o644, []byte(strings.Join(g.jobs, "\n")+"\n"))
	add := func(name, path string) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		a.File(name, 0o755, data)
	}
	for _, p := range programs {
		name := filepath.Base(p)
		add("bin/"+name, g.build(t, filepath.Join(dir, name), "build", p))
	}
	add("init", filepath.Join(dir, "guest"))
	for name, path := range g.files {
		add(name, path)
	}
	for i, m := range modules(t, kernel, g.modules...) {
		a.File(fmt.Sprintf("modules/%03d.ko", i), 0o644, m)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "initramfs")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// kernelOptions leave TOMOYO out, which Debian 11's kernel asks at each execution: it looks for /dev/fd in the jail.
const kernelOptions = "quiet panic=-1 lsm=landlock,lockdown,yama,integrity,apparmor"

// emulator is QEMU for a machine, with a console and nothing else.
func (d debian) emulator() []string {
	if d.arch == "arm64" {
		return []string{"qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57", "-append", "console=ttyAMA0 " + kernelOptions}
	}
	return []string{"qemu-system-x86_64", "-append", "console=ttyS0 " + kernelOptions}
}

// command is QEMU's for the guest.
func (g *guest) command(ctx context.Context, t *testing.T) *exec.Cmd {
	t.Helper()
	root := g.debian.kernel(t)
	kernels, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		t.Fatalf("kernels %v, %v", kernels, err)
	}
	words := append([]string{"-n", "19"}, g.debian.emulator()...)
	words = append(words, "-accel", "tcg", "-m", "768", "-smp", "1", "-display", "none",
		"-nodefaults", "-serial", "stdio", "-kernel", kernels[0], "-initrd", g.pack(t, t.TempDir(), root))
	return exec.CommandContext(ctx, "nice", append(words, g.options...)...)
}

// run boots the guest and waits until it has switched itself off. It returns the serial log.
func (g *guest) run(t *testing.T) *record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), g.limit)
	defer cancel()
	began := time.Now()
	g.options = append(g.options, "-no-reboot")
	out, err := g.command(ctx, t).CombinedOutput()
	keep(t, g.name, out)
	if err != nil {
		t.Fatalf("%s: %v\n%s", g.name, err, kit.Tail(string(out), 4000))
	}
	r := parse(string(out))
	r.seconds = time.Since(began).Seconds()
	t.Logf("%s: kernel %s, %.0f s", g.name, r.kernel, r.seconds)
	if !r.whole {
		t.Errorf("%s did not come to its end:\n%s", g.name, kit.Tail(string(out), 4000))
	}
	return r
}

// keep puts the serial log into build/guests.
func keep(t *testing.T, name string, log []byte) {
	t.Helper()
	dir := kit.Tree("build", "guests")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".log"), log, 0o644); err != nil {
		t.Fatal(err)
	}
}

// plant adds a tree of files, without what only people read.
func plant(t *testing.T, a *initramfs.Writer, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && (name == "dev" || name == "usr/share" || strings.HasPrefix(filepath.Base(name), "python3")):
			return fs.SkipDir
		case entry.IsDir():
			a.Dir(name)
		case entry.Type() == fs.ModeSymlink:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			a.Symlink(name, to)
		case entry.Type().IsRegular() && name != "etc/passwd" && name != "etc/group":
			info, err := entry.Info()
			if err != nil {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			a.File(name, uint32(info.Mode().Perm()), data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
