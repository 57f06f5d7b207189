//go:build system && guests

package guests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// store keeps packages and kernels from one run to the next.
const store = "/var/tmp/smap-guests"

// A debian is a release of Debian for one machine, whose packages are downloaded and never installed.
type debian struct {
	suite, arch string
}

func (d debian) dir(elem ...string) string {
	return filepath.Join(append([]string{store, d.suite + "-" + d.arch}, elem...)...)
}

// apt is an apt command that sees nothing but this release.
func (d debian) apt(command string, args ...string) *exec.Cmd {
	options := []string{"-qq"}
	for _, o := range []string{
		"APT::Architecture=" + d.arch, "APT::Architectures::=" + d.arch, "APT::Sandbox::User=root",
		"Dir::Etc::SourceList=" + d.dir("sources.list"), "Dir::Etc::SourceParts=/dev/null",
		"Dir::State::Lists=" + d.dir("lists"), "Dir::State::status=/dev/null",
		"Dir::Cache::archives=" + d.dir("archives"), "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=",
	} {
		options = append(options, "-o", o)
	}
	cmd := exec.Command(command, append(options, args...)...)
	cmd.Dir = d.dir("archives")
	return cmd
}

func (d debian) run(t *testing.T, command string, args ...string) string {
	t.Helper()
	out, err := d.apt(command, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v for %s: %v\n%s", command, args, d, err, out)
	}
	return string(out)
}

// mirror is where this machine gets its packages.
func mirror(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if uri := strings.TrimSpace(line); strings.HasSuffix(strings.TrimSuffix(uri, "/"), "/debian") {
			return uri
		}
	}
	t.Fatalf("no mirror of Debian among %s", out)
	return ""
}

// kernel downloads and unpacks the release's kernel, and returns its directory.
func (d debian) kernel(t *testing.T) string {
	t.Helper()
	root := d.dir("kernel")
	if found, _ := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*")); len(found) == 1 {
		return root
	}
	for _, dir := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(d.dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	line := "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " + mirror(t) + " " + d.suite + " main\n"
	if err := os.WriteFile(d.dir("sources.list"), []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	d.run(t, "apt-get", "update")
	image := ""
	for word := range strings.FieldsSeq(d.run(t, "apt-cache", "depends", "linux-image-"+d.arch)) {
		if strings.HasPrefix(word, "linux-image-") && word != "linux-image-"+d.arch {
			image = word
			break
		}
	}
	d.run(t, "apt-get", "download", image)
	debs, err := filepath.Glob(d.dir("archives", image+"_*.deb"))
	if err != nil || len(debs) == 0 {
		t.Fatalf("no archive of %s: %v", image, err)
	}
	kit.Run(t, "dpkg-deb", "-x", debs[len(debs)-1], root)
	return root
}
