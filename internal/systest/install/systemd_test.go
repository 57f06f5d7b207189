//go:build system && long

package install

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// debianTree keeps a minimal Debian with systemd from one run to the next.
const debianTree = "/var/tmp/smap-systest-packages/systemd.tar"

// TestSystemd boots a Debian of its own, in a container, and has the package live its whole life there.
func TestSystemd(t *testing.T) {
	t.Parallel()
	kit.Run(t, kit.Tree(".ci", "need"), "mmdebstrap", "systemd-nspawn=systemd-container")
	s := kit.NewSite(t)
	if _, err := os.Stat(debianTree); err != nil {
		if err := os.MkdirAll(filepath.Dir(debianTree), 0o755); err != nil {
			t.Fatal(err)
		}
		kit.Run(t, "mmdebstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,passwd", "stable", debianTree+".new")
		if err := os.Rename(debianTree+".new", debianTree); err != nil {
			t.Fatal(err)
		}
	}
	root := s.File("debian")
	s.Mkdir(root, 0o755, 0, 0)
	kit.Run(t, "tar", "-xpf", debianTree, "-C", root)
	for name, version := range map[string]string{"old.deb": "0.0.1", "new.deb": "0.0.2"} {
		out := kit.Run(t, "env", "VERSION="+version, "DPKG_DEB_COMPRESSOR_LEVEL=1", "../../../contrib/debian/build")
		deb := filepath.Join("../../..", strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]))
		kit.Run(t, "mv", deb, filepath.Join(root, name))
	}
	journey, err := os.ReadFile("testdata/journey")
	if err != nil {
		t.Fatal(err)
	}
	s.Write(filepath.Join(root, "journey"), string(journey), 0o755)
	s.Write(filepath.Join(root, "etc/systemd/system/journey.service"), "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\n"+
		"ExecStart=/journey\nStandardOutput=file:/journey.log\nStandardError=inherit\n[Install]\nWantedBy=default.target\n", 0o644)
	wants := filepath.Join(root, "etc/systemd/system/default.target.wants")
	s.Mkdir(wants, 0o755, 0, 0)
	if err := os.Symlink("/etc/systemd/system/journey.service", filepath.Join(wants, "journey.service")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	// Its exit code is nspawn's, which knows nothing of the journey.
	out, _ := exec.CommandContext(ctx, "systemd-nspawn", "-D", root, "--boot", "--register=no", "--keep-unit", "--private-network",
		"--hostname=mail", "--console=pipe").CombinedOutput()
	log, err := os.ReadFile(filepath.Join(root, "journey.log"))
	if err != nil || !strings.Contains(string(log), "\nPASSED\n") {
		t.Errorf("%v\n%s\nthe console:\n%s", err, kit.Tail(string(log), 8000), kit.Tail(string(out), 1000))
	}
}
