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
mydestination = bench.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
alias_database =
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_peername_lookup = no
smtpd_client_restrictions = check_client_access static:HOLD
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
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
`

// postfix starts an instance whose smtpd takes mail and holds it: durable in the queue, never delivered.
func (b *bench) postfix() (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	conf, queue, data := b.file("postfix"), filepath.Join(b.disk, "postfix"), b.file("postfix-data")
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
	main := strings.NewReplacer("QUEUE", queue, "DATA", data, "LOG", filepath.Join(conf, "mail.log"), "PREFIX", conf).Replace(postfixMain)
	master := strings.ReplaceAll(postfixMaster, "PORT", fmt.Sprintf("127.0.0.1:%d", port))
	for name, text := range map[string]string{"main.cf": main, "master.cf": master} {
		if err := os.WriteFile(filepath.Join(conf, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	if _, err := b.output("postfix", "-c", conf, "start"); err != nil {
		return nil, err
	}
	s := &server{port: port, stop: func() error { return b.stopPostfix(conf) }}
	return s, s.await()
}

func (b *bench) stopPostfix(conf string) error {
	_, err := b.output("postfix", "-c", conf, "stop")
	if err == nil || b.ctx.Err() == nil {
		return err
	}
	// Interrupted: its master leads a process group of its own.
	pid, err := os.ReadFile(filepath.Join(b.disk, "postfix", "pid", "master.pid"))
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		return err
	}
	return syscall.Kill(-n, syscall.SIGTERM)
}

// emptyPostfix removes what it holds.
func (b *bench) emptyPostfix() error {
	_, err := b.output("postsuper", "-c", b.file("postfix"), "-d", "ALL")
	return err
}
