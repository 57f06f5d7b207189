//go:build system

package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestImage runs the image's tree as three containers would: smap and smapd each in a root with nothing else in it, and a
// script elsewhere, all as one unprivileged user, with only the spool in common.
func TestImage(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	image := imageTree(t, s)
	volume := filepath.Join(image, "var/spool/smap")
	s.Mkdir(filepath.Join(image, "mail"), 0o700, 65532, 65532) // what the Maildir's volume would be
	s.Write(filepath.Join(image, "usr/local/etc/netperm-table"), "smap, smapd: directory /var/spool/smap\nsmap: hostname mail.example.com\n"+
		"smap: local-domains example.com\nsmapd: agent maildir /mail/Maildir\nsmapd: badadmin none\n", 0o644)

	container := func(name string, args ...string) *kit.Process {
		t.Helper()
		// A mount namespace, no capability, no way to get any.
		return kit.StartCommand(t, exec.Command("unshare", append([]string{"--mount", "/bin/sh", "-ec", `mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"
			exec setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid chroot --userspec=65532:65532 "$0" "$@"`, image, name}, args...)...))
	}
	port := kit.FreePort(t)
	smap := container("/usr/local/sbin/smap", "-log", "stderr", "-listen", kit.Local(port))
	smapd := container("/usr/local/sbin/smapd", "-log", "stderr")
	kit.Listening(t, port)
	c := kit.DialSMTP(t, port)
	c.Mail(kit.Message("ann@client.test", "bob@example.com", "from the network"), "bob@example.com")

	// The third one: a shell, with smapq.
	cmd := exec.Command("setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "/bin/sh", "-c",
		`printf 'Subject: from a script\n\n' | "$0" -d "$1" submit -f report@example.com root@example.com`, kit.Program(t, "smapq"), volume)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("submit: %v\n%s", err, out)
	}
	mail := filepath.Join(image, "mail/Maildir/new/*")
	if !kit.Eventually(20*time.Second, func() bool { names, _ := filepath.Glob(mail); return len(names) == 2 }) {
		names, _ := filepath.Glob(mail)
		t.Fatalf("delivered: %q\nsmap says\n%s\nsmapd says\n%s", names, smap.Log(), smapd.Log())
	}
	if !strings.Contains(smap.Log(), "landlock seccomp") {
		t.Errorf("smap is not sandboxed: %s", smap.Log())
	}
}

// imageTree makes the image's tree, and sees that it holds nothing else.
func imageTree(t *testing.T, s *kit.Site) string {
	t.Helper()
	image := s.File("image")
	kit.Run(t, "../../../contrib/container/rootfs", image)
	var files []string
	err := filepath.WalkDir(image, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, image))
		}
		return err
	})
	if got := strings.Join(files, " "); err != nil || got != "/etc/group /etc/passwd /usr/local/bin/smapq /usr/local/sbin/smap /usr/local/sbin/smapd" {
		t.Fatalf("the image holds %s: %v", got, err)
	}
	return image
}
