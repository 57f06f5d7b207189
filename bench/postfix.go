//go:build linux

package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const postfixMain = `compatibility_level = 3.6
queue_directory = QUEUE
data_directory = DATA
maillog_file = LOG
maillog_file_prefixes = PREFIX
myhostname = bench.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
alias_database =
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_peername_lookup = no
default_process_limit = 100
`

const postfixMaster = `PORT inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
local unix - n n - - local
virtual unix - n n - - virtual
smtp unix - - n - - smtp
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
`

// postfix starts an instance whose smtpd takes mail and holds it: durable in the queue, never delivered.
func (b *bench) postfix() (*server, error) {
	return b.postfixWith("postfix", "", "mydestination = bench.test", "smtpd_client_restrictions = check_client_access static:HOLD")
}

// postfixWith starts an instance with a directory of its own, a service more in master.cf, and settings more.
func (b *bench) postfixWith(name, service string, settings ...string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	conf, queue, data := b.file(name), filepath.Join(b.disk, name), b.file(name+"-data")
	for _, dir := range []string{conf, queue, data} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	u, err := user.Lookup("postfix")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(data, uid, -1); err != nil {
		return nil, err
	}
	main := strings.NewReplacer("QUEUE", queue, "DATA", data, "LOG", filepath.Join(conf, "mail.log"), "PREFIX", conf).
		Replace(postfixMain) + strings.Join(settings, "\n") + "\n"
	master := strings.ReplaceAll(postfixMaster, "PORT", fmt.Sprintf("127.0.0.1:%d", port)) + service
	if err := b.writeAll(conf, map[string]string{"main.cf": main, "master.cf": master}); err != nil {
		return nil, err
	}
	if _, err := b.output("postfix", "-c", conf, "start"); err != nil {
		return nil, err
	}
	s := &server{port: port, stop: func() error { return b.stopPostfix(name) }}
	s.pids = func() []int {
		pid, err := masterOf(queue)
		if err != nil {
			return nil
		}
		return []int{pid}
	}
	return s, s.await()
}

// masterOf is the process that leads an instance.
func masterOf(queue string) (int, error) {
	pid, err := os.ReadFile(filepath.Join(queue, "pid", "master.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(pid)))
}

func (b *bench) stopPostfix(name string) error {
	_, err := b.output("postfix", "-c", b.file(name), "stop")
	if err == nil || b.ctx.Err() == nil {
		return err
	}
	// Interrupted: its master leads a process group of its own.
	pid, err := masterOf(filepath.Join(b.disk, name))
	if err != nil {
		return err
	}
	return syscall.Kill(-pid, syscall.SIGTERM)
}

// emptyPostfix removes what it holds.
func (b *bench) emptyPostfix() error {
	_, err := b.output("postsuper", "-c", b.file("postfix"), "-d", "ALL")
	return err
}
