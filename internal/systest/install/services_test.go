//go:build system

package install

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// rcSubr replaces the system's own rc.subr. It runs the script's check, and prints the command that the script would start.
const (
	rcSubr = `load_rc_config() { :; }
run_rc_command() { $start_precmd && [ -r "$required_files" ] && echo "starts: $command ${rc_flags-} $(eval echo \"\$${name}_flags\") $command_args"; }
`
	rcSubrOpenBSD = "rc_cmd() { rc_pre && echo \"starts: $daemon $daemon_flags\"; }\n"
)

// TestServiceFiles runs the scripts for rc.d of the BSDs as far as a system without their rc.subr can, and reads launchd's
// files: each checks the table first, and starts our programs with options that they have.
func TestServiceFiles(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	r := kit.NewRoot(t, s, "dash", "coreutils")
	for _, dir := range []string{"usr/local/sbin", "usr/local/etc", "etc/rc.d"} {
		if err := os.MkdirAll(r.Path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("sh", r.Path("usr/bin/ksh")); err != nil {
		t.Fatal(err)
	}
	uid, gid := r.Account("smap")
	s.Mkdir(r.Path("spool"), 0o700, uid, gid)
	for _, name := range []string{"smap", "smapd"} {
		kit.Run(t, "cp", kit.Program(t, name), r.Path("usr/local/sbin", name))
	}
	s.Write(r.Path("etc/rc.subr"), rcSubr, 0o644)
	s.Write(r.Path("etc/rc.d/rc.subr"), rcSubrOpenBSD, 0o644)
	table := r.Path("usr/local/etc/netperm-table")
	const good = "smap, smapd: directory /spool\nsmap, smapd: userid smap\nsmapd: agent maildir /spool/Maildir\n"
	var commands []string
	for _, system := range []string{"freebsd", "netbsd", "openbsd"} {
		for _, name := range []string{"smap", "smapd"} {
			script := s.Write(r.Path("etc/rc.d", name), kit.ReadFile(t, kit.Tree("contrib", system, name)), 0o755)
			start := func() (string, error) {
				out, err := r.Command("/bin/sh", "/etc/rc.d/"+name, "start").CombinedOutput()
				return string(out), err
			}
			s.Write(table, good, 0o600)
			out, err := start()
			_, command, ok := strings.Cut(out, "starts: ")
			if err != nil || !ok {
				t.Errorf("%s/%s: %v, %s", system, name, err, out)
				continue
			}
			commands = append(commands, command)
			s.Write(table, "smap, smapd: nonsense yes\n", 0o600)
			if out, err := start(); err == nil || strings.Contains(out, "starts:") {
				t.Errorf("%s starts %s with a wrong table: %s", system, name, out)
			}
			if err := os.Remove(script); err != nil {
				t.Fatal(err)
			}
		}
	}
	plists, err := filepath.Glob(kit.Tree("contrib", "launchd", "*.plist"))
	if err != nil || len(plists) != 2 {
		t.Fatal(plists, err)
	}
	for _, path := range plists {
		var p struct {
			Arguments []string `xml:"dict>array>string"`
		}
		if err := xml.Unmarshal([]byte(kit.ReadFile(t, path)), &p); err != nil || len(p.Arguments) == 0 {
			t.Errorf("%s: %v, %q", path, err, p.Arguments)
		}
		commands = append(commands, strings.Join(p.Arguments, " "))
	}
	s.Write(table, good, 0o600)
	for _, command := range commands {
		at := strings.Index(command, "/usr/local/sbin/smap")
		if at < 0 {
			t.Errorf("starts none of ours: %s", command)
			continue
		}
		words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(command[at:]), "&"))
		// With -t the program reads the options, and ends.
		if out, err := r.Command(words[0], append(words[1:], "-t")...).CombinedOutput(); err != nil {
			t.Errorf("%q: %v, %s", words, err, out)
		}
	}
}
