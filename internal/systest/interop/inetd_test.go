//go:build system

package interop

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// xinetdConf is contrib/xinetd/smtp on another port, with paths of a test.
func xinetdConf(t *testing.T, s *kit.Site, port int, wait string) string {
	t.Helper()
	conf := kit.ReadFile(t, "../../../contrib/xinetd/smtp")
	for _, r := range [][2]string{{"service smtp\n{", "service smap-test\n{\n\ttype = UNLISTED\n\tbind = 127.0.0.1\n\tport = " + fmt.Sprint(port)},
		{"wait\t\t= no", "wait\t\t= " + wait}, {"/usr/local/sbin/smap", kit.Program(t, "smap")}, {"-log syslog", "-log syslog -c " + s.Table}, {"flags\t\t= IPv6\n", "\n"}} {
		if strings.Count(conf, r[0]) != 1 {
			t.Fatalf("contrib/xinetd/smtp has %q %d times", r[0], strings.Count(conf, r[0]))
		}
		conf = strings.Replace(conf, r[0], r[1], 1)
	}
	return s.Write(s.File("xinetd.conf"), "defaults\n{\n\tlog_type = FILE "+s.File("xinetd.log")+"\n}\n"+conf, 0o644)
}

// An inetd is one way to have smap started.
type inetd struct {
	name     string
	packages []string // in a root; none: this machine's
	log      string   // where smap's lines go when the table does not say
	waits    bool     // smap gets the listening socket, and leaves it after a while
	command  func(t *testing.T, s *kit.Site, r *kit.Root, port int) *exec.Cmd
}

func inetds() []inetd {
	xinetd := func(wait string) func(*testing.T, *kit.Site, *kit.Root, int) *exec.Cmd {
		return func(t *testing.T, s *kit.Site, r *kit.Root, port int) *exec.Cmd {
			return r.Outside("usr/sbin/xinetd", "-dontfork", "-f", xinetdConf(t, s, port, wait), "-pidfile", s.File("xinetd.pid"))
		}
	}
	activate := func(options ...string) func(*testing.T, *kit.Site, *kit.Root, int) *exec.Cmd {
		return func(t *testing.T, s *kit.Site, r *kit.Root, port int) *exec.Cmd {
			return r.Outside("usr/bin/systemd-socket-activate",
				append(append([]string{"--listen=" + kit.Local(port)}, options...), kit.Program(t, "smap"), "-c", s.Table)...)
		}
	}
	openbsd := func(wait string) func(*testing.T, *kit.Site, *kit.Root, int) *exec.Cmd {
		return func(t *testing.T, s *kit.Site, _ *kit.Root, port int) *exec.Cmd {
			return exec.Command("inetd", "-i", kit.InetdConf(t, s, port, wait))
		}
	}
	inetutils := func(wait string) func(*testing.T, *kit.Site, *kit.Root, int) *exec.Cmd {
		return func(t *testing.T, s *kit.Site, r *kit.Root, port int) *exec.Cmd {
			return r.Outside("usr/sbin/inetutils-inetd", "-d", kit.InetdConf(t, s, port, wait))
		}
	}
	tcpserver := func(t *testing.T, s *kit.Site, r *kit.Root, port int) *exec.Cmd {
		return r.Outside("usr/bin/tcpserver", "-v", "-R", "-H", "-l", "0", "127.0.0.1", fmt.Sprint(port), kit.Program(t, "smap"), "-c", s.Table)
	}
	return []inetd{
		{"openbsd-inetd nowait", nil, "syslog", false, openbsd("nowait")},
		{"openbsd-inetd wait", nil, "syslog", true, openbsd("wait")},
		{"inetutils-inetd nowait", []string{"inetutils-inetd"}, "syslog", false, inetutils("nowait")},
		{"inetutils-inetd wait", []string{"inetutils-inetd"}, "syslog", true, inetutils("wait")},
		{"xinetd nowait", []string{"xinetd"}, "syslog", false, xinetd("no")},
		{"xinetd wait", []string{"xinetd"}, "syslog", true, xinetd("yes")},
		{"tcpserver", []string{"ucspi-tcp"}, "stderr", false, tcpserver},
		{"systemd accept", []string{"systemd"}, "stderr", false, activate("--accept")},
		{"systemd accept inetd", []string{"systemd"}, "stderr", false, activate("--accept", "--inetd")},
		{"systemd listen", []string{"systemd"}, "stderr", false, activate()},
		{"systemd listen inetd", []string{"systemd"}, "stderr", false, activate("--inetd")},
	}
}

// TestInetds has smap started in every way there is: each delivers into the spool, and the log is where it should be.
func TestInetds(t *testing.T) {
	t.Parallel()
	system := kit.Syslog(t)
	base := kit.NewSite(t)
	roots := map[string]*kit.Root{}
	for _, i := range inetds() {
		if len(i.packages) > 0 && roots[i.packages[0]] == nil {
			roots[i.packages[0]] = kit.NewRoot(t, base, i.packages...)
		}
	}
	for _, i := range inetds() {
		t.Run(i.name, func(t *testing.T) {
			t.Parallel()
			var r *kit.Root
			if len(i.packages) > 0 {
				r = roots[i.packages[0]].In(t)
			}
			i.deliver(t, r, system)
		})
	}
}

func (i inetd) deliver(t *testing.T, r *kit.Root, system *kit.Syslogd) {
	s := kit.NewSite(t)
	s.Rules("smap: hostname mx.system.test", "smap: local-domains system.test", "smap: idle-exit 1")
	port := kit.FreePort(t)
	daemon := kit.StartCommand(t, i.command(t, s, r, port))
	logged := func(words ...string) int {
		if i.log == "syslog" {
			return len(system.Find(words...))
		}
		return strings.Count(daemon.Log(), words[0])
	}
	const rounds = 3
	for n := range rounds {
		to := fmt.Sprintf("bob-%d@system.test", n)
		text := kit.Message(kit.FromAddress, to, i.name)
		c := kit.DialPatiently(t, port)
		c.Mail(text, to)
		m := s.SpooledFor("<"+to+">", 1, 5*time.Second)[0]
		if got := kit.Split(m.Content).Rest; got != text {
			t.Errorf("spooled %q, want %q", got, text)
		}
		m.Want(t, "Client-Address", "127.0.0.1")
		m.Want(t, "Protocol", "ESMTP")
		if !kit.Eventually(5*time.Second, func() bool { return logged("message client=127.0.0.1 id="+m.Id+" ", "smap[") == 1 }) {
			t.Errorf("%s does not tell of %s", i.log, m.Id)
		}
		if !i.waits || n == 0 {
			continue
		}
		// It leaves, and inetd starts another one in the next round.
		if !kit.Eventually(10*time.Second, func() bool { return len(kit.Processes(t, "smap", s.Table)) == 0 }) {
			t.Fatal("smap does not leave the socket")
		}
	}
	if got := s.Names("tmp"); len(got) > 0 {
		t.Errorf("in tmp/: %v", got)
	}
}
