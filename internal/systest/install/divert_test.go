//go:build system

package install

import (
	"os"

	"path/filepath"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// pageCommands are the lines of a page that begin with these words of a shell.
func pageCommands(t *testing.T, page string, words ...string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(kit.ReadFile(t, kit.Tree(page))) {
		line = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(line), ".Dl "), "# ")
		for _, w := range words {
			if strings.HasPrefix(line, w+" ") {
				found = append(found, line)
			}
		}
	}
	return found
}

// TestDivert has a Debian with a mail server's sendmail follow README.Debian and smapq(1): sendmail is smapq, also after an
// upgrade of the mail server, smapd takes the diverted program as its agent and no other, and all of it can be taken back.
func TestDivert(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	r := kit.NewRoot(t, s, "dpkg", "dash", "coreutils")
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/alternatives", "etc/alternatives", "usr/local/bin", "fake/DEBIAN", "fake/usr/sbin"} {
		if err := os.MkdirAll(r.Path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.Write(r.Path("var/lib/dpkg/status"), "", 0o644)
	r.Account("smapd")
	for _, name := range []string{"usr/bin/smapq", "usr/local/bin/smapq", "usr/sbin/smapd"} {
		kit.Run(t, "cp", kit.Program(t, filepath.Base(name)), r.Path(name))
	}
	mta := func(version string) {
		t.Helper()
		s.Write(r.Path("fake/DEBIAN/control"), "Package: fake-mta\nVersion: "+version+"\nArchitecture: all\nMaintainer: x <x@x.test>\nDescription: x\n", 0o644)
		s.Write(r.Path("fake/usr/sbin/sendmail"), "#!/bin/sh\necho version "+version+"\n", 0o755)
		kit.Run(t, "dpkg-deb", "--root-owner-group", "--build", r.Path("fake"), r.Path("fake.deb"))
		kit.Run(t, "dpkg", "--root="+r.Dir, "--force-depends", "-i", r.Path("fake.deb"))
	}
	shell := func(command string) string { t.Helper(); return r.Run("", "/bin/sh", "-ec", command) }
	mta("1")
	shell("smapq -d /var/spool/smap init && chown -R smapd:smapd /var/spool/smap")

	readme := pageCommands(t, "contrib/debian/README.Debian", "dpkg-divert", "ln", "rm")
	if len(readme) != 4 {
		t.Fatalf("README.Debian has the commands %q", readme)
	}
	manual := pageCommands(t, "man/smapq.1", "dpkg-divert", "ln")
	for what, do := range map[string][]string{"README.Debian": readme[:2], "smapq(1)": manual} {
		shell(strings.Join(do, "\n"))
		mta("2")
		if got := shell("sendmail.distrib"); got != "version 2\n" {
			t.Errorf("%s: the mail server's program says %q", what, got)
		}
		shell(`printf 'Subject: x\n\nx\n' | /usr/sbin/sendmail root@example.com`)
		if names, err := filepath.Glob(r.Path("var/spool/smap/new/*.envelope")); err != nil || len(names) != 1 {
			t.Errorf("%s: in the spool are %q, %v", what, names, err)
		}
		shell("rm /var/spool/smap/new/*")
		for agent, want := range map[string]string{"/usr/sbin/sendmail": "each message would come back", "/usr/sbin/sendmail.distrib": "ok"} {
			s.Write(r.Path("table"), "smapd: directory /var/spool/smap\nsmapd: userid smapd\nsmapd: agent sendmail "+agent+"\n", 0o600)
			out, err := r.Command("/usr/sbin/smapd", "-t", "-c", "/table").CombinedOutput()
			if (err == nil) != (want == "ok") || !strings.Contains(string(out), want) {
				t.Errorf("%s: agent %s: %v, %s", what, agent, err, out)
			}
		}
		shell(strings.Join(readme[2:], "\n"))
		if got := shell("sendmail"); got != "version 2\n" {
			t.Errorf("%s taken back: %q", what, got)
		}
	}

	// Where alternatives choose the program.
	shell("rm /usr/sbin/sendmail")
	kit.Run(t, "cp", r.Path("fake/usr/sbin/sendmail"), r.Path("usr/sbin/sendmail.other"))
	shell("update-alternatives --install /usr/sbin/sendmail mta /usr/sbin/sendmail.other 30")
	choose := pageCommands(t, "man/smapq.1", "update-alternatives")
	if len(choose) != 1 {
		t.Fatalf("smapq(1) has %q", choose)
	}
	shell(choose[0])
	shell(`printf 'Subject: x\n\nx\n' | sendmail root@example.com`)
	if names, err := filepath.Glob(r.Path("var/spool/smap/new/*.envelope")); err != nil || len(names) != 1 {
		t.Errorf("by an alternative: %q, %v", names, err)
	}
	shell("update-alternatives --remove mta /usr/local/bin/smapq")
	if got := shell("sendmail"); got != "version 2\n" {
		t.Errorf("without the alternative: %q", got)
	}
}
