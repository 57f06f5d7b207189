//go:build system

package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// kept is a program that is at work all the time: killed, it is started again.
type kept struct {
	name, log string
	args      []string
	mu        sync.Mutex
	pid       int
	starts    int
}

// keep runs it until ctx is done, and then asks it to end.
func (k *kept) keep(ctx context.Context) error {
	log, err := os.OpenFile(k.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	for {
		cmd := exec.Command(k.args[0], k.args[1:]...)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		k.mu.Lock()
		k.pid, k.starts = cmd.Process.Pid, k.starts+1
		k.mu.Unlock()
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended: // the next one may find that its port is not free yet, and ends too
			time.Sleep(200 * time.Millisecond)
		case <-ctx.Done():
			cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // may be gone
			select {
			case <-ended:
			case <-time.After(45 * time.Second): // more than both programs give their work
				err = fmt.Errorf("%s did not end on TERM", k.name)
			}
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // may be gone
			return err
		}
	}
}

func (k *kept) parent() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pid
}

// child is the process that works. There may be another one for a moment, by which the Go runtime finds out what the kernel can.
func (k *kept) child() (pid int) {
	kit.Eventually(4*time.Second, func() bool {
		for _, pid = range kit.Family(k.parent())[1:] {
			if open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil && len(open) > 3 {
				return true
			}
		}
		pid = 0
		return false
	})
	return pid
}

// soakSite is one spool of the soak with all that works on it.
type soakSite struct {
	*kit.Site
	name  string
	books *books
	ca    string
	plain string // the table without TLS
	ports []int  // of smaps: the first is the one that is never disturbed, where there is such a one
	all   []*kept
	turn  sync.RWMutex // who takes new/ away waits for operators, who would make another one

	old []string // what was new/

	mu     sync.Mutex
	tries  int // sessions and other feeders
	failed int // those that did not end well
}

func newSoakSite(t *testing.T, name string, text func(mark string) string, rules ...string) *soakSite {
	t.Helper()
	k := &soakSite{Site: kit.NewSite(t), name: name, books: newBooks(text)}
	var cert, key string
	k.ca, cert, key = kit.Certificate(t, k.Site, "mx.system.test")
	rules = append(rules, "smap: hostname mx.system.test", "smap: local-domains .system.test", "smap: sandbox strict", "smap, smapd: log stderr",
		"smapd: wakeup 5", "smapd: retry 1 2 4", "smapd: badadmin none")
	k.Rules(rules...)
	k.plain = k.Write(k.File("plain-table"), kit.ReadFile(t, k.Table), 0o600)
	k.Rules(append(rules, "smap: tls-cert "+cert, "smap: tls-key "+key)...)
	return k
}

// smap is one that listens, on a port of its own.
func (k *soakSite) smap(bin, name string) *kept {
	port := kit.FreePort(k.T)
	k.ports = append(k.ports, port)
	return k.with(name, bin+"/smap", "-c", k.Table, "-listen", kit.Local(port))
}

func (k *soakSite) with(name string, args ...string) *kept {
	p := &kept{name: name, log: k.File(strings.ReplaceAll(name, ", ", "-") + ".log"), args: args}
	k.all = append(k.all, p)
	return p
}

// inetd starts smap for each connection, as inetd does, and now and then kills it.
func (k *soakSite) inetd(ctx context.Context, bin string) (serve func()) {
	k.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		k.T.Fatal(err)
	}
	context.AfterFunc(ctx, func() { l.Close() })
	log, err := os.OpenFile(k.File("inetd-smap.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		k.T.Fatal(err)
	}
	k.T.Cleanup(func() { log.Close() })
	k.ports = append(k.ports, l.Addr().(*net.TCPAddr).Port)
	return func() {
		var wg sync.WaitGroup
		defer wg.Wait()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f, err := conn.(*net.TCPConn).File()
			if err != nil {
				k.T.Error(err)
				return
			}
			conn.Close()
			cmd := exec.Command(bin+"/smap", "-c", k.plain)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, log
			err = cmd.Start()
			f.Close()
			if err != nil {
				k.T.Error(err)
				return
			}
			if rand.IntN(30) == 0 {
				time.AfterFunc(time.Duration(rand.IntN(200))*time.Millisecond, func() { cmd.Process.Kill() }) //nolint:errcheck // may be gone
			}
			wg.Go(func() { cmd.Wait() }) //nolint:errcheck // killed, or its client has told
		}
	}
}

// soakAgent tells by the recipient what is to become of it; see piece. What it did before is a file of that name.
const soakAgent = `#!/bin/sh
to=${SMAP_RECIPIENT%@*}
echo "begin $$ $to $PPID" >>LEDGER || exit 75
text=
while IFS= read -r line; do text="$text$line|"; done
end() { echo "end $$ $to $1 ${SMAP_SENDER%@*} $text" >>LEDGER; exit "$1"; }
case $to in
gone-*) end 75 ;;
fail-*) end 67 ;;
defer-*) [ -e "STATE/$to" ] || { : >"STATE/$to"; end 75; } ;;
back-*) [ -e "STATE/$to" ] || { : >"STATE/$to"; end 67; } ;;
esac
end 0
`
