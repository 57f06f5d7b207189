//go:build system

package systest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// startInetd starts openbsd-inetd with smap on a free port, as the manual's inetd.conf line has it.
func startInetd(t *testing.T, s *site) int {
	t.Helper()
	port := freePort(t)
	start(t, "inetd", "-i", "-R", "1000000", inetdConf(t, s, port, "nowait"))
	listening(t, port)
	return port
}

func inetdConf(t *testing.T, s *site, port int, wait string) string {
	t.Helper()
	return s.write(s.file("inetd.conf"), fmt.Sprintf("127.0.0.1:%d stream tcp %s root %s smap -c %s\n",
		port, wait, program(t, "smap"), s.table), 0o644)
}

const xinetdConf = `
defaults
{
	log_type = FILE LOG
}
service smap-test
{
	type = UNLISTED
	socket_type = stream
	protocol = tcp
	bind = 127.0.0.1
	port = PORT
	wait = WAIT
	user = root
	server = SMAP
	server_args = -c TABLE
}
`

// An inetd is one way to have smap started.
type inetd struct {
	name     string
	packages []string // in a root; none: this machine's
	log      string   // where smap's lines go when the table does not say
	waits    bool     // smap gets the listening socket, and leaves it after a while
	command  func(t *testing.T, s *site, r *root, port int) *exec.Cmd
}

func inetds() []inetd {
	xinetd := func(wait string) func(*testing.T, *site, *root, int) *exec.Cmd {
		return func(t *testing.T, s *site, r *root, port int) *exec.Cmd {
			conf := s.write(s.file("xinetd.conf"), strings.NewReplacer("PORT", fmt.Sprint(port), "WAIT", wait, "SMAP", program(t, "smap"),
				"TABLE", s.table, "LOG", s.file("xinetd.log")).Replace(xinetdConf), 0o644)
			return r.outside("usr/sbin/xinetd", "-dontfork", "-f", conf, "-pidfile", s.file("xinetd.pid"))
		}
	}
	activate := func(options ...string) func(*testing.T, *site, *root, int) *exec.Cmd {
		return func(t *testing.T, s *site, r *root, port int) *exec.Cmd {
			return r.outside("usr/bin/systemd-socket-activate",
				append(append([]string{"--listen=" + local(port)}, options...), program(t, "smap"), "-c", s.table)...)
		}
	}
	openbsd := func(wait string) func(*testing.T, *site, *root, int) *exec.Cmd {
		return func(t *testing.T, s *site, _ *root, port int) *exec.Cmd {
			return exec.Command("inetd", "-i", inetdConf(t, s, port, wait))
		}
	}
	inetutils := func(wait string) func(*testing.T, *site, *root, int) *exec.Cmd {
		return func(t *testing.T, s *site, r *root, port int) *exec.Cmd {
			return r.outside("usr/sbin/inetutils-inetd", "-d", inetdConf(t, s, port, wait))
		}
	}
	tcpserver := func(t *testing.T, s *site, r *root, port int) *exec.Cmd {
		return r.outside("usr/bin/tcpserver", "-v", "-R", "-H", "-l", "0", "127.0.0.1", fmt.Sprint(port), program(t, "smap"), "-c", s.table)
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
	system := syslog(t)
	base := newSite(t)
	roots := map[string]*root{}
	for _, i := range inetds() {
		if len(i.packages) > 0 && roots[i.packages[0]] == nil {
			roots[i.packages[0]] = newRoot(t, base, i.packages...)
		}
	}
	for _, i := range inetds() {
		t.Run(i.name, func(t *testing.T) {
			t.Parallel()
			var r *root
			if len(i.packages) > 0 {
				r = roots[i.packages[0]].in(t)
			}
			i.deliver(t, r, system)
		})
	}
}

func (i inetd) deliver(t *testing.T, r *root, system *syslogd) {
	s := newSite(t)
	s.rules("smap: hostname mx.system.test", "smap: local-domains system.test", "smap: idle-exit 1")
	port := freePort(t)
	daemon := startCommand(t, i.command(t, s, r, port))
	logged := func(words ...string) int {
		if i.log == "syslog" {
			return len(system.find(words...))
		}
		return strings.Count(daemon.log(), words[0])
	}
	const rounds = 3
	for n := range rounds {
		to := fmt.Sprintf("bob-%d@system.test", n)
		text := message(fromAddress, to, i.name)
		c := dialPatiently(t, port)
		c.mail(text, to)
		m := s.spooledFor("<"+to+">", 1, 5*time.Second)[0]
		if got := split(m.content).rest; got != text {
			t.Errorf("spooled %q, want %q", got, text)
		}
		m.want(t, "Client-Address", "127.0.0.1")
		m.want(t, "Protocol", "ESMTP")
		if !eventually(5*time.Second, func() bool { return logged("message client=127.0.0.1 id="+m.id+" ", "smap[") == 1 }) {
			t.Errorf("%s does not tell of %s", i.log, m.id)
		}
		if !i.waits || n == 0 {
			continue
		}
		// It leaves, and inetd starts another one in the next round.
		if !eventually(10*time.Second, func() bool { return len(processes(t, "smap", s.table)) == 0 }) {
			t.Fatal("smap does not leave the socket")
		}
	}
	if got := s.names("tmp"); len(got) > 0 {
		t.Errorf("in tmp/: %v", got)
	}
}
