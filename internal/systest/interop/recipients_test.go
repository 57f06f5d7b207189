//go:build system

package interop

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// TestRecipients has contrib/recipes/recipients list what Exim and OpenSMTPD take, and compares that with what they answer:
// smap must know every address that the server accepts, and no other.
func TestRecipients(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*testing.T, *kit.Site) (*kit.Root, int, *exec.Cmd){"exim": listExim, "opensmtpd": listOpenSMTPD} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := kit.NewSite(t)
			r, port, server := f(t, s)
			bob(r, s)
			if err := os.Symlink("mawk", r.Path("usr/bin/awk")); err != nil {
				t.Fatal(err)
			}
			s.Write(r.Path("etc/aliases"), "# ours\nmailer-daemon: postmaster\npostmaster: root\nroot: bob\nWebmaster:root\nsales: bob, root\n", 0o644)
			s.Write(r.Path("etc/virtual"), "ann@virtual.test bob\nelsewhere@other.test bob\n", 0o644)
			const recipe = "/usr/local/share/smap/recipes/recipients"
			s.Mkdir(r.Path("usr/local/share/smap/recipes"), 0o755, 0, 0)
			s.Write(r.Path(recipe), kit.ReadFile(t, "../../../contrib/recipes/recipients"), 0o755)
			kit.StartCommand(t, server)
			kit.Listening(t, port)
			_, command, ok := strings.Cut(kit.ReadFile(t, "../../../contrib/install/"+name+".md"), "    "+recipe)
			command, _, _ = strings.Cut(command, "\n")
			if !ok || !strings.HasPrefix(command, " "+name+" /etc/smap/recipients "+theirs) {
				t.Errorf("the page runs %q", command)
			}
			r.Run("", "/bin/sh", "-ec", recipe+command+" virtual.test")
			listed := strings.Fields(strings.ToLower(kit.ReadFile(t, r.Path("etc/smap/recipients"))))
			// From another address than 127.0.0.1, for which Exim relays and looks at no recipient.
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}
			conn, err := d.Dial("tcp", kit.Local(port))
			if err != nil {
				t.Fatal(err)
			}
			c := kit.NewConn(t, conn)
			c.Reply("220 ")
			c.Say("HELO client.test", "250 ")
			c.Say("MAIL FROM:<a@client.test>", "250 ")
			for address, known := range map[string]bool{"bob@" + theirs: true, "webmaster@" + theirs: true, "Sales@" + theirs: true,
				"ann@virtual.test": true, "nobody-here@" + theirs: false, "elsewhere@virtual.test": false} {
				if got := slices.Contains(listed, strings.ToLower(address)); got != known {
					t.Errorf("%s: listed %v, want %v, in %q", address, got, known, listed)
				}
				if known {
					c.Say("RCPT TO:<"+address+">", "250 ")
				} else {
					c.Say("RCPT TO:<"+address+">", "5")
				}
			}
			if slices.Contains(listed, "elsewhere@other.test") {
				t.Error("it lists another's domain")
			}

			// Where every address of a domain is taken, a list would refuse mail.
			for file, all := range map[string]string{
				"etc/virtual": "@virtual.test bob\n",
				"etc/aliases": map[string]string{"exim": "bob: bob\n*: bob\n", "opensmtpd": "bob bob\n@ bob\n"}[name],
			} {
				was := kit.ReadFile(t, r.Path(file))
				s.Write(r.Path(file), all, 0o644)
				out, err := r.Command(recipe, name, "/list", "virtual.test").CombinedOutput()
				if err == nil || !strings.Contains(string(out), "takes every address") {
					t.Errorf("every address by %s: %v, %s", file, err, out)
				}
				s.Write(r.Path(file), was, 0o644)
			}
		})
	}
}

// The router of the page that most sites copy for virtual domains.
const eximVirtual = `virtual_domains:
  driver = redirect
  domains = virtual.test
  data = ${lookup{$local_part@$domain}lsearch{/etc/virtual}}
`

func listExim(t *testing.T, s *kit.Site) (*kit.Root, int, *exec.Cmd) {
	r := kit.NewRoot(t, s, "exim4-daemon-light", "dash", "coreutils", "sed", "grep", "mawk", "util-linux")
	uid, gid := r.Account("Debian-exim")
	r.Account("mail")
	r.Account("uucp")
	for _, dir := range []string{"var/spool/exim4", "var/log/exim4"} {
		s.Mkdir(r.Path(dir), 0o750, uid, gid)
	}
	port := kit.FreePort(t)
	s.Write(r.Path("etc/mailname"), theirs+"\n", 0o644)
	s.Write(r.Path("etc/exim4/update-exim4.conf.conf"), eximAnswers+"dc_local_interfaces='127.0.0.1."+itoa(port)+"'\ndc_other_hostnames='"+theirs+":virtual.test'\n", 0o644)
	s.Write(r.Path("etc/exim4/conf.d/router/150_virtual"), eximVirtual, 0o644)
	r.Run("", "/usr/sbin/update-exim4.conf")
	return r, port, r.Command("/usr/sbin/exim4", "-bdf", "-q30m")
}

func listOpenSMTPD(t *testing.T, s *kit.Site) (*kit.Root, int, *exec.Cmd) {
	r := kit.NewRoot(t, s, "opensmtpd", "dash", "coreutils", "sed", "grep", "mawk")
	r.Account("opensmtpd")
	_, gid := r.Account("opensmtpq")
	r.Own("usr/sbin/smtpctl", 0, gid, 0o755|os.ModeSetgid)
	s.Mkdir(r.Path("var/lib/opensmtpd/empty"), 0o755, 0, 0)
	port := kit.FreePort(t)
	s.Write(r.Path("etc/smtpd.conf"), "table aliases file:/etc/aliases\ntable users \"/etc/virtual\"\nlisten on lo port "+itoa(port)+
		"\naction \"local\" maildir alias <aliases>\naction \"virtual\" maildir virtual <users>\n"+
		"match from any for domain \""+theirs+"\" action \"local\"\nmatch from any for domain \"virtual.test\" action \"virtual\"\n", 0o644)
	return r, port, r.Command("/usr/sbin/smtpd", "-d")
}
