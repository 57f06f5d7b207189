//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// eximConf takes mail for one domain and only queues it.
const eximConf = `primary_hostname = bench.test
exim_user = mail
exim_group = mail
never_users =
spool_directory = /queue
log_file_path = /queue/%slog
keep_environment =
local_interfaces = 127.0.0.1
queue_only
acl_smtp_rcpt = rcpt
acl_smtp_data = data
smtp_accept_max = 0
rfc1413_query_timeout = 0s
host_lookup =
tls_advertise_hosts =
begin acl
rcpt:
  accept
data:
  accept
begin routers
local:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = /dev/null
`

// exim unpacks Debian's Exim and an inetd into a root of their own, since the package cannot stand beside Postfix's,
// and starts them there: the queue is on the measured disk.
func (b *bench) exim() (*server, error) {
	root := b.file("exim")
	if _, err := b.output("bench/debroot", root, "exim4-daemon-light", "openbsd-inetd"); err != nil {
		return nil, err
	}
	queue := filepath.Join(b.disk, "exim")
	err := errors.Join(os.MkdirAll(filepath.Join(root, "queue"), 0o755), os.MkdirAll(queue, 0o755), os.Chown(queue, b.uid, -1))
	if err != nil {
		return nil, err
	}
	if _, err := b.output("mount", "--bind", queue, filepath.Join(root, "queue")); err != nil {
		return nil, err
	}
	b.undo = append(b.undo, func() error { return umount(filepath.Join(root, "queue")) })
	for name, text := range map[string]string{
		"etc/exim4/exim4.conf": eximConf,
		"etc/passwd":           fmt.Sprintf("root:x:0:0::/:/bin/sh\nmail:x:%d:8::/:/bin/sh\nDebian-exim:x:%[1]d:8::/:/bin/sh\n", b.uid),
		"etc/group":            "root:x:0:\nmail:x:8:\nDebian-exim:x:8:\n",
		"etc/hosts":            "127.0.0.1 localhost bench.test\n",
		"etc/nsswitch.conf":    "passwd: files\ngroup: files\nhosts: files\n",
		"etc/services":         "smtp 25/tcp\n",
		"etc/protocols":        "tcp 6 TCP\nudp 17 UDP\n",
	} {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			return nil, err
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	line := fmt.Sprintf("127.0.0.1:%d stream tcp nowait root /usr/sbin/exim4 exim4 -bs\n", port)
	if err := os.WriteFile(filepath.Join(root, "inetd.conf"), []byte(line), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("/usr/sbin/inetd", "-i", "-R", "1000000", "/inetd.conf")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	s, err := b.startCommand(cmd)
	if err != nil {
		return nil, err
	}
	s.port = port
	return s, s.await()
}

func (b *bench) heldByExim() (int, error) {
	headers, err := filepath.Glob(filepath.Join(b.disk, "exim", "input", "*-H"))
	return len(headers), err
}

// emptyExim removes what is queued: two files for each message.
func (b *bench) emptyExim() error {
	return os.RemoveAll(filepath.Join(b.disk, "exim", "input"))
}
