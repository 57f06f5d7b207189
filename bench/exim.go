//go:build linux

package main

import (
	"os"
	"path/filepath"
)

// eximMain takes mail from everybody.
const eximMain = `primary_hostname = bench.test
exim_user = mail
exim_group = mail
never_users =
spool_directory = /queue
log_file_path = /queue/%slog
keep_environment =
local_interfaces = 127.0.0.1
acl_smtp_rcpt = rcpt
acl_smtp_data = data
smtp_accept_max = 0
rfc1413_query_timeout = 0s
host_lookup =
tls_advertise_hosts =
smtp_accept_queue_per_connection = 0
`

// eximRelay sends everything to one server, at once.
const eximRelay = eximMain + `daemon_smtp_ports = IN
begin acl
rcpt:
  accept
data:
  accept
begin routers
sink:
  driver = manualroute
  transport = sink
  route_list = * 127.0.0.1
  self = send
begin transports
sink:
  driver = smtp
  port = OUT
  allow_localhost
`

// eximConf only queues.
const eximConf = eximMain + `queue_only
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

// exim starts Exim -bs under an inetd. It only queues.
func (b *bench) exim() (*server, error) {
	root, _, err := b.eximRoot(eximConf)
	if err != nil {
		return nil, err
	}
	return b.inetdIn(root, "root", "/usr/sbin/exim4 exim4 -bs")
}

func (b *bench) eximRoot(conf string) (root, queue string, err error) {
	root, queue, err = b.unpack("exim", "queue", "exim4-daemon-light", "openbsd-inetd")
	if err == nil {
		err = b.writeAll(root, map[string]string{"etc/exim4/exim4.conf": conf})
	}
	return root, queue, err
}

func (b *bench) heldByExim() (int, error) {
	headers, err := filepath.Glob(filepath.Join(b.disk, "exim", "input", "*-H"))
	return len(headers), err
}

// emptyExim removes what is queued: two files for each message.
func (b *bench) emptyExim() error {
	return os.RemoveAll(filepath.Join(b.disk, "exim", "input"))
}
