//go:build system

package kit

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// postfix is an instance with a configuration, a queue and a log of its own. It listens nowhere unless a test adds a
// service; mail reaches it by its sendmail program and ends in the maildir of a user of this machine.
type postfix struct {
	t    *testing.T
	Conf string
	Log  string
}

// Postfix's set-gid postdrop takes only configuration directories that the default one names.
var (
	postfixMutex sync.Mutex
	postfixDirs  []string
)

const masterCf = `
pickup     unix n - n 1    1 pickup
cleanup    unix n - n -    0 cleanup
qmgr       unix n - n 300  1 qmgr
rewrite    unix - - n -    - trivial-rewrite
bounce     unix - - n -    0 bounce
defer      unix - - n -    0 bounce
trace      unix - - n -    0 bounce
verify     unix - - n -    1 verify
flush      unix n - n 1000? 0 flush
proxymap   unix - - n -    - proxymap
smtp       unix - - n -    - smtp
relay      unix - - n -    - smtp
showq      unix n - n -    - showq
error      unix - - n -    - error
retry      unix - - n -    - error
discard    unix - - n -    - discard
local      unix - n n -    - local
virtual    unix - n n -    - virtual
lmtp       unix - - n -    - lmtp
anvil      unix - - n -    1 anvil
scache     unix - - n -    1 scache
tlsmgr     unix - - n 1000? 1 tlsmgr
postlog    unix-dgram n - n - 1 postlogd
`

// StartPostfix starts an instance below dir. settings are lines of main.cf, services lines of master.cf.
func StartPostfix(t *testing.T, s *Site, settings, services string) *postfix {
	t.Helper()
	dir := s.File("postfix")
	p := &postfix{t: t, Conf: filepath.Join(dir, "conf"), Log: filepath.Join(dir, "log", "mail.log")}
	s.Mkdir(dir, 0o755, 0, 0)
	s.Mkdir(p.Conf, 0o755, 0, 0)
	s.Mkdir(filepath.Join(dir, "log"), 0o755, 0, 0)
	s.Mkdir(filepath.Join(dir, "queue"), 0o755, 0, 0)
	uid, gid := IDs(t, "postfix")
	s.Mkdir(filepath.Join(dir, "data"), 0o755, uid, gid)
	main := []string{
		"compatibility_level = 3.6",
		"queue_directory = " + filepath.Join(dir, "queue"),
		"data_directory = " + filepath.Join(dir, "data"),
		"maillog_file = " + p.Log,
		"maillog_file_prefixes = " + dir,
		"myhostname = mx.system.test",
		"mydomain = system.test",
		"mydestination = system.test",
		"inet_interfaces = 127.0.0.1",
		"inet_protocols = ipv4",
		"alias_maps =",
		"alias_database =",
		"home_mailbox = Maildir/",
		"mailbox_size_limit = 0",
		"message_size_limit = 0",
		"in_flow_delay = 0",
		"biff = no",
		"local_destination_concurrency_limit = 10",
	}
	// A name that stands twice is warned of by each program, postlogd too, which waits for itself when it has much to do.
	main = slices.DeleteFunc(main, func(line string) bool {
		name, _, _ := strings.Cut(line, " ")
		return strings.HasPrefix(settings, name+" ") || strings.Contains(settings, "\n"+name+" ")
	})
	main = append(main, settings)
	s.Write(filepath.Join(p.Conf, "main.cf"), strings.Join(main, "\n")+"\n", 0o644)
	s.Write(filepath.Join(p.Conf, "master.cf"), masterCf+services+"\n", 0o644)
	allowPostfix(t, p.Conf)
	Run(t, "postfix", "-c", p.Conf, "start")
	t.Cleanup(func() {
		// A Postfix that has just started may not be ready to stop; stop waits for it.
		if out, err := exec.Command("postfix", "-c", p.Conf, "stop").CombinedOutput(); err != nil {
			t.Logf("postfix stop: %v\n%s", err, out)
		}
		if t.Failed() {
			b, _ := os.ReadFile(p.Log)
			t.Logf("Postfix's log:\n%s", Tail(string(b), 6000))
		}
	})
	return p
}

// allowPostfix makes the set-gid programs believe this configuration directory.
func allowPostfix(t *testing.T, conf string) {
	t.Helper()
	postfixMutex.Lock()
	defer postfixMutex.Unlock()
	if _, err := os.Stat("/etc/postfix/main.cf"); os.IsNotExist(err) {
		if err := os.WriteFile("/etc/postfix/main.cf", []byte("compatibility_level = 3.6\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	postfixDirs = append(postfixDirs, conf)
	Run(t, "postconf", "-e", "alternate_config_directories = "+strings.Join(postfixDirs, ", "))
}

func restorePostfix() {
	if len(postfixDirs) > 0 {
		exec.Command("postconf", "-X", "alternate_config_directories").Run() //nolint:errcheck // harmless when left
	}
}

// Sendmail is the rule that makes this instance smapd's agent.
func (p *postfix) Sendmail() string {
	return "smapd: sendmail /usr/sbin/sendmail -C " + p.Conf
}

// Lines are the lines of its log that hold all of these words.
func (p *postfix) Lines(words ...string) []string {
	p.t.Helper()
	b, err := os.ReadFile(p.Log)
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	var found []string
next:
	for line := range strings.Lines(string(b)) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}
