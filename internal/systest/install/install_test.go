//go:build system

package install

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"smap/internal/systest/kit"
)

// TestUnits has systemd check the units, and count what they leave open.
func TestUnits(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	bin := filepath.Dir(kit.Program(t, "smap"))
	all, err := filepath.Glob("../../../contrib/systemd/*")
	units := slices.DeleteFunc(all, func(name string) bool { return strings.HasSuffix(name, ".d") })
	if err != nil || len(units) != 9 {
		t.Fatal(units, err)
	}
	var paths []string
	for _, unit := range units {
		text := strings.NewReplacer("/usr/local/sbin", bin, "/usr/local/bin", bin, "/usr/local/share/smap/recipes/recipients", bin+"/smapq").Replace(kit.ReadFile(t, unit))
		// A template is checked by one of its instances.
		path := s.File(strings.Replace(filepath.Base(unit), "@.", "@1.", 1))
		paths = append(paths, s.Write(path, text, 0o644))
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, paths...)...).CombinedOutput()
	// The socket is looked at without a connection, so its template has no instance.
	if text := strings.TrimSpace(string(out)); err != nil && text == "" || text != "" && !strings.HasPrefix(text, "smap-inetd.socket: service smap-inetd@") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	for _, unit := range []string{"smap.service", "smapd.service"} {
		drop, err := filepath.Glob("../../../contrib/systemd/" + unit + ".d/*.conf")
		if err != nil || len(drop) != 1 {
			t.Fatal(drop, err)
		}
		s.Write(s.File("hard-"+unit), strings.ReplaceAll(kit.ReadFile(t, s.File(unit))+kit.ReadFile(t, drop[0]), "/usr/local/sbin", bin), 0o644)
	}
	for unit, most := range map[string]string{"smap.service": "26", "smap-inetd@1.service": "26", "smapd.service": "38", "smap-clean.service": "26",
		"hard-smap.service": "18", "hard-smapd.service": "26"} {
		if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+most, s.File(unit)).CombinedOutput(); err != nil {
			t.Errorf("%s is more exposed than %s: %v\n%s", unit, most, err, out)
		}
	}
}

// TestSystemdFiles: systemd-sysusers and systemd-tmpfiles make the users and the spool that smapq init makes.
func TestSystemdFiles(t *testing.T) {
	t.Parallel()
	root := kit.NewSite(t).File("root")
	for _, dir := range []string{"etc", "var/spool"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	contrib, err := filepath.Abs("../../../contrib")
	if err != nil {
		t.Fatal(err)
	}
	kit.Run(t, "systemd-sysusers", "--root="+root, contrib+"/sysusers.d/smap.conf")
	kit.Run(t, "systemd-tmpfiles", "--root="+root, "--create", contrib+"/tmpfiles.d/smap.conf")
	passwd := kit.ReadFile(t, filepath.Join(root, "etc/passwd"))
	if !strings.Contains(passwd, "smap:x:") || !strings.Contains(passwd, "smapd:x:") {
		t.Errorf("users: %s", passwd)
	}
	spool := filepath.Join(root, "var/spool/smap")
	kit.Run(t, kit.Program(t, "smapq"), "-d", spool, "check")
	for box, want := range map[string]os.FileMode{".": 0o710, "tmp": 0o733 | os.ModeSetgid | os.ModeSticky, "new": 0o737 | os.ModeSetgid | os.ModeSticky} {
		info, err := os.Stat(filepath.Join(spool, box))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode() & (os.ModePerm | os.ModeSetgid | os.ModeSticky); got != want {
			t.Errorf("%s has mode %v, want %v", box, got, want)
		}
	}
}

// TestUpgrade runs the package's scripts where systemd seems to run: what runs is restarted, and nothing is left behind.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stub := filepath.Join(dir, "systemctl")
	if err := os.WriteFile(stub, []byte("#!/bin/sh\necho \"$@\" >>"+dir+"/calls\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Abs("../../../contrib/debian")
	if err != nil {
		t.Fatal(err)
	}
	script := func(script string) string {
		t.Helper()
		return kit.Run(t, "unshare", "--mount", "/bin/sh", "-ec", `mount -t tmpfs none /run; mkdir -p /run/systemd/system /run/upper /run/work
			mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
			mkdir -p /etc/systemd/system/sockets.target.wants; : >/etc/systemd/system/sockets.target.wants/smap.socket
			mount -t tmpfs none /var/spool; mkdir /var/spool/smap; mkdir -p /etc/smap; : >/etc/smap/netperm-table
			PATH=`+dir+`:$PATH; `+script)
	}
	if out := script("getent() { :; }; . " + scripts + "/postinst"); out != "" { // without arguments nothing
		t.Errorf("postinst without arguments: %s", out)
	}
	script(`cd ` + scripts + `; set -- configure 0.0.1; getent() { :; }; . ./postinst`)
	if calls := kit.ReadFile(t, dir+"/calls"); !strings.Contains(calls, "try-restart smap.service smapd.service") {
		t.Errorf("an upgrade calls %q", calls)
	}
	if out := script(`cd ` + scripts + `; set -- remove; . ./prerm 2>&1`); !strings.Contains(out, "port 25 is closed now") {
		t.Errorf("removing says %q", out)
	}
	left := script(`cd ` + scripts + `; set -- purge; getent() { return 1; }; . ./postrm; ls -A /etc/systemd/system/sockets.target.wants`)
	if left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// TestHardened sees that what smapd's unit takes away is taken away where TestBehind delivers without it.
func TestHardened(t *testing.T) {
	t.Parallel()
	out, err := kit.Hardened(t, "/", "/bin/sh", "-c", "grep CapBnd /proc/self/status; umask; touch /usr/smap-test").CombinedOutput()
	got := string(out)
	if err == nil || strings.Contains(got, "CapBnd:\t000001ffffffffff") || !strings.Contains(got, "CapBnd:") ||
		!strings.Contains(got, "\n0077\n") || !strings.Contains(got, "Read-only file system") {
		t.Errorf("%v: %s", err, got)
	}
}

// TestDebianPackage builds, installs, uses, removes and purges the package.
func TestDebianPackage(t *testing.T) {
	t.Parallel()
	out := kit.Run(t, "env", "DPKG_DEB_COMPRESSOR_LEVEL=1", "../../../contrib/debian/build") // a tenth of the time
	deb, err := filepath.Abs(filepath.Join("../../..", strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])))
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(deb) //nolint:errcheck // a later build makes it anew
	if out, err := exec.Command("lintian", "--fail-on", "error", deb).CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	// The accounts and the spool have fixed names.
	for _, path := range []string{"/var/spool/smap", "/etc/smap"} {
		if _, err := os.Stat(path); err == nil {
			t.Fatalf("%s is there before the package is", path)
		}
	}
	kit.Run(t, "dpkg", "-i", deb)
	t.Cleanup(func() { exec.Command("dpkg", "-P", "smap").Run() }) //nolint:errcheck // done already, unless the test has failed
	for path, want := range map[string]os.FileMode{
		"/var/spool/smap": 0o710, "/var/spool/smap/tmp": 0o733 | os.ModeSetgid | os.ModeSticky,
		"/var/spool/smap/new": 0o737 | os.ModeSetgid | os.ModeSticky, "/var/spool/smap/cur": 0o700, "/var/spool/smap/bad": 0o700,
		"/etc/smap/netperm-table": 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode() & (os.ModePerm | os.ModeSetgid | os.ModeSticky); got != want {
			t.Errorf("%s has mode %v, want %v", path, got, want)
		}
	}
	kit.Run(t, "/usr/sbin/smap", "-t") // the path of the table is built in
	kit.Run(t, "/usr/sbin/smapd", "-t")
	if got, want := strings.TrimSpace(kit.Run(t, "/usr/sbin/smapd", "-version")), "smapd "+strings.TrimSpace(kit.Run(t, "dpkg-query", "-W", "-f", "${Version}", "smap")); got != want {
		t.Errorf("the program says %q, want %q", got, want)
	}
	// Nothing of Debian is in /usr/local.
	for _, pattern := range []string{"/lib/systemd/system/smap*", "/usr/share/doc/smap/*/*", "/usr/share/doc/smap/README.Debian"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Errorf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && strings.Contains(kit.ReadFile(t, name), "/usr/local/") {
				t.Errorf("%s speaks of /usr/local", name)
			}
		}
	}
	for _, page := range []string{"man1/smapq.1", "man5/netperm-table.5", "man8/smap.8", "man8/smapd.8"} {
		if text := kit.Run(t, "zcat", "/usr/share/man/"+page+".gz"); strings.Contains(text, "/usr/local/") {
			t.Errorf("%s speaks of /usr/local", page)
		}
	}
	const deliver = "smapd: agent sendmail /usr/sbin/sendmail"
	maildir := "/var/spool/smap-test"
	uid, gid := kit.IDs(t, "smapd")
	if err := os.MkdirAll(maildir, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(maildir) //nolint:errcheck // on a machine to throw away
	if err := os.Chown(maildir, uid, gid); err != nil {
		t.Fatal(err)
	}
	table := kit.ReadFile(t, "/etc/smap/netperm-table")
	if !strings.Contains(strings.Join(strings.Fields(table), " "), deliver) {
		t.Fatalf("the table has no %q", deliver)
	}
	if err := os.WriteFile("/etc/smap/netperm-table", []byte(strings.ReplaceAll(table, "agent sendmail /usr/sbin/sendmail", "agent maildir "+maildir+"/m")), 0o600); err != nil {
		t.Fatal(err)
	}
	// A member of the group feeds; the compiled-in spool needs no option.
	feeder, group := syscall.Getuid(), kit.GroupID(t, "smapfeed")
	if uid, _ := kit.IDs(t, "nobody"); uid > 0 {
		feeder = uid
	}
	if out, err := kit.As(t, feeder, group, "/bin/sh", "-c", "printf 'Subject: x\\n\\nbody\\n' | smapq submit -f a@client.test b@system.test"); err != nil {
		t.Fatalf("submit: %v\n%s", err, out)
	}
	kit.Run(t, "/usr/sbin/smapd", "-log", "stderr", "-once")
	if got, err := filepath.Glob(maildir + "/m/new/*"); err != nil || len(got) != 1 {
		t.Errorf("in the maildir: %v, %v", got, err)
	}
	kit.Run(t, "dpkg", "-r", "smap")
	if _, err := os.Stat("/etc/smap/netperm-table"); err != nil {
		t.Errorf("removing took the table: %v", err)
	}
	// With mail in it the spool outlives a purge.
	left := "/var/spool/smap/bad/left.eml"
	if err := os.WriteFile(left, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	kit.Run(t, "dpkg", "-P", "smap")
	if _, err := os.Stat(left); err != nil {
		t.Errorf("purging took mail: %v", err)
	}
	if err := os.Remove(left); err != nil {
		t.Fatal(err)
	}
	kit.Run(t, "dpkg", "-i", deb)
	kit.Run(t, "dpkg", "-P", "smap")
	for _, path := range []string{"/var/spool/smap", "/etc/smap", "/usr/sbin/smap", "/usr/share/doc/smap"} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is there after the purge: %v", path, err)
		}
	}
	for _, name := range []string{"smap", "smapd"} {
		if out, err := exec.Command("getent", "passwd", name).CombinedOutput(); err == nil {
			t.Errorf("left behind: %s", out)
		}
	}
}

// TestMakeInstall installs below another root.
func TestMakeInstall(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	install := func(target string) {
		t.Helper()
		cmd := exec.Command("make", "-s", "-C", "../../..", target, "DESTDIR="+root, "PREFIX=/opt/smap", "GO=/nowhere/go")
		if out, err := cmd.CombinedOutput(); err != nil { // sudo's PATH has no Go
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
	}
	install("install")
	for _, name := range []string{"sbin/smap", "sbin/smapd", "bin/smapq", "share/man/man8/smap.8", "share/man/man8/smapd.8", "share/man/man1/smapq.1",
		"share/man/man5/netperm-table.5", "share/man/man5/smap-spool.5", "share/man/man5/smap-log.5", "share/bash-completion/completions/smapq",
		"share/zsh/site-functions/_smapq", "share/fish/vendor_completions.d/smapq.fish", "share/examples/smap/netperm-table"} {
		if info, err := os.Stat(filepath.Join(root, "opt/smap", name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if page := kit.ReadFile(t, filepath.Join(root, "opt/smap/share/man/man8/smap.8")); strings.Contains(page, "/usr/local/sbin") {
		t.Error("the manual names /usr/local/sbin")
	}
	install("uninstall")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestHTML makes the manuals as pages for a browser.
func TestHTML(t *testing.T) {
	t.Parallel()
	kit.Run(t, "make", "-s", "-C", kit.Tree(), "html")
	manuals, err := filepath.Glob(kit.Tree("man", "*.[1-9]"))
	if err != nil || len(manuals) < 6 {
		t.Fatal(manuals, err)
	}
	for _, m := range manuals {
		if page := kit.ReadFile(t, kit.Tree("build", "html", filepath.Base(m)+".html")); !strings.Contains(page, "</html>") {
			t.Errorf("%s has no page that ends", m)
		}
	}
}
