//go:build system && long

package install

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// images is a store of images, with buildah, whose chroot isolation needs nothing that a container in a container lacks.
type images struct {
	t   *testing.T
	dir string
}

func (i images) buildah(args ...string) []string {
	return append([]string{"buildah", "--storage-driver", "vfs", "--root", i.dir + "/images", "--runroot", i.dir + "/run"}, args...)
}

func (i images) run(args ...string) string {
	i.t.Helper()
	command := i.buildah(args...)
	return strings.TrimSpace(kit.Run(i.t, command[0], command[1:]...))
}

// build builds an image from a text for a directory.
func (i images) build(name, text, dir string) {
	i.t.Helper()
	file := filepath.Join(i.dir, "Containerfile")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		i.t.Fatal(err)
	}
	i.run("bud", "--isolation", "chroot", "--pull-never", "-f", file, "-t", name, dir)
}

// start runs an image's command, or another one, in a container that can write to its volumes alone.
func (i images) start(image string, volumes []string, command ...string) *kit.Process {
	i.t.Helper()
	container := i.run("from", "--pull-never", image)
	// Buildah 1.28 mounts a volume of the image and the one of -v in no certain order, one over the other. No container of ours
	// wants both.
	i.run("config", "--volume", "/var/spool/smap-", container)
	args := []string{"run", "--isolation", "chroot", "--cap-drop", "ALL"}
	for _, v := range volumes {
		args = append(args, "-v", v)
	}
	args = i.buildah(append(append(args, container, "--"), command...)...)
	return kit.StartCommand(i.t, exec.Command(args[0], args[1:]...))
}

// TestContainer builds the image of contrib/container, which has nothing else in it, and the third one of compose.yaml. It runs
// them as compose.yaml says: three containers that share the spool's volume. A message comes from the network and one from the
// script, and both end in a Maildir.
func TestContainer(t *testing.T) {
	t.Parallel()
	kit.Run(t, kit.Tree(".ci", "need"), "buildah", "busybox=busybox-static")
	s := kit.NewSite(t)
	tree := imageTree(t, s)
	store := images{t, s.File("store")}
	s.Mkdir(store.dir, 0o700, 0, 0)
	store.build("smap", kit.ReadFile(t, "../../../contrib/container/Containerfile"), tree)

	// compose.yaml takes busybox from elsewhere. Here it is Debian's.
	compose := kit.ReadFile(t, "../../../contrib/container/compose.yaml")
	box := s.File("busybox")
	s.Mkdir(filepath.Join(box, "bin"), 0o755, 0, 0)
	kit.Run(t, "cp", "/bin/busybox", filepath.Join(box, "bin/sh"))
	for _, name := range []string{"df", "sleep"} {
		if err := os.Symlink("sh", filepath.Join(box, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	store.build("docker.io/library/busybox", "FROM scratch\nCOPY bin/ /bin/\n", box)
	_, inline, _ := strings.Cut(compose, "dockerfile_inline: |\n")
	inline, rest, _ := strings.Cut(inline, "    command: [sh, -c, '")
	script, _, ok := strings.Cut(rest, "']\n")
	if !ok {
		t.Fatal("compose.yaml has no script")
	}
	store.build("report", strings.ReplaceAll(inline, "\n        ", "\n"), box)

	// What a new volume gets from the image: the spool, with its owner.
	volume, mail := filepath.Join(tree, "var/spool/smap"), s.File("mail")
	s.Mkdir(mail, 0o700, 65532, 65532)
	table := s.Write(s.File("table"), "smap, smapd: directory /var/spool/smap\nsmap: hostname mail.example.com\n"+
		"smap: local-domains example.com\nsmapd: agent maildir /mail/Maildir\nsmapd: badadmin none\n", 0o644)
	volumes := []string{volume + ":/var/spool/smap", table + ":/usr/local/etc/netperm-table:ro"}
	port := kit.FreePort(t)
	smap := store.start("smap", volumes, "/usr/local/sbin/smap", "-log", "stderr", "-listen", kit.Local(port))
	smapd := store.start("smap", append(volumes, mail+":/mail"), "/usr/local/sbin/smapd", "-log", "stderr")
	report := store.start("report", volumes[:1], "sh", "-c", script)
	kit.Listening(t, port)
	kit.DialSMTP(t, port).Mail(kit.Message("ann@client.test", "bob@example.com", "from the network"), "bob@example.com")
	arrived := func() (all string, n int) {
		names, _ := filepath.Glob(filepath.Join(mail, "Maildir/new/*")) // the pattern is right
		for _, name := range names {
			all += kit.ReadFile(t, name)
		}
		return all, len(names)
	}
	kit.Eventually(time.Minute, func() bool { _, n := arrived(); return n == 2 })
	all, n := arrived()
	if n != 2 || !strings.Contains(all, "Delivered-To: root@example.com\n") || !strings.Contains(all, "\nSubject: from the network\n") || !strings.Contains(all, "Filesystem") {
		t.Fatalf("%d delivered: %s\nsmap says\n%s\nsmapd says\n%s\nthe script says\n%s", n, all, smap.Log(), smapd.Log(), report.Log())
	}
	if !strings.Contains(smap.Log(), "landlock seccomp") {
		t.Errorf("smap is not sandboxed: %s", smap.Log())
	}
	for _, pid := range smapd.Children() {
		if status := kit.ReadFile(t, fmt.Sprintf("/proc/%d/status", pid)); strings.Contains(status, "Name:\tsmapd\n") && !strings.Contains(status, "CapEff:\t0000000000000000\n") {
			t.Errorf("smapd has capabilities:\n%s", status)
		}
	}
}
