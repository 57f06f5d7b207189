//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// shareAt is where the server's export is mounted.
const shareAt = "/share"

// nfsClient is a machine that feeds and drains a spool on an NFS server, until both clients have fed n messages and the
// spool is empty. Its smapd is killed now and then.
//
//	nfs-client NUMBER VERSION shared|private N
//
// It prints "acked MARK" when a feeder was told that its message is safe, and "taken MARK" when the agent has it.
func nfsClient(args []string) error {
	if len(args) != 4 {
		return errors.New("nfs-client NUMBER VERSION shared|private N")
	}
	number, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	// The name is what an NFS 4 server knows a client by. Two of the same name take each other's locks away.
	if err := errors.Join(unix.Sethostname(fmt.Appendf(nil, "client%d", number)), address("eth0", fmt.Sprintf("10.9.%d.2", number)), mountAt("/dev/vda", "/disk", "ext4"), nfsState("/disk")); err != nil {
		return err
	}
	export := "/"
	if args[1] == "3" {
		export = "/disk/export"
	}
	if err := os.MkdirAll(shareAt, 0o755); err != nil {
		return err
	}
	err = await("the server serves", func() bool {
		return run("mount.nfs", fmt.Sprintf("10.9.%d.1:%s", number, export), shareAt, "-o", "vers="+args[1]+",hard,proto=tcp,timeo=50") == nil
	})
	if err != nil {
		return err
	}
	c := &nfsDrainer{number: number, shared: args[2] == "shared", mark: fmt.Sprintf("c%d-%d", number, rand.IntN(1000000)), taken: make(chan struct{}, 64)}
	if err := c.prepare(); err != nil {
		return err
	}
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { done <- c.drain(ctx) }()
	if err := c.feed(n); err != nil {
		return err
	}
	for !c.over() {
		time.Sleep(time.Second)
	}
	stop()
	return <-done
}

// An nfsDrainer is one client.
type nfsDrainer struct {
	number int
	shared bool
	mark   string // what its marks begin with; another one after each start of the machine
	table  string
	taken  chan struct{} // a word for each delivery
}

func (c *nfsDrainer) spool() string { return filepath.Join(shareAt, "site", "spool") }

// prepare makes the spool, or waits until the first client has.
func (c *nfsDrainer) prepare() error {
	ready := filepath.Join(shareAt, "ready")
	if _, err := os.Stat(ready); c.number == 0 && err != nil {
		dir := filepath.Join(shareAt, "site")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		args := []string{"-d", c.spool(), "init", "--user", "smapd"}
		if c.shared {
			args = append(args, "--group", "smapfeed")
		}
		if err := run("/bin/smapq", args...); err != nil {
			return err
		}
		if c.shared { // SPOOL-FORMAT.md, NFS: feeders' files must be such that the drainer can lock them
			if err := os.Chmod(filepath.Join(c.spool(), "tmp"), 0o3773&0o777|os.ModeSetgid|os.ModeSticky); err != nil {
				return err
			}
		}
		if err := os.WriteFile(ready, nil, 0o644); err != nil {
			return err
		}
	}
	return await("the spool is made", func() bool { _, err := os.Stat(ready); return err == nil })
}

// feed submits n messages, one after the other, as the user who feeds.
func (c *nfsDrainer) feed(n int) error {
	name := "smap"
	if !c.shared {
		name = "smapd"
	}
	owner, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, uerr := strconv.Atoi(owner.Uid)
	gid, gerr := strconv.Atoi(owner.Gid)
	if err := errors.Join(uerr, gerr); err != nil {
		return err
	}
	for i := range n {
		mark := fmt.Sprintf("%s-%d", c.mark, i)
		cmd := exec.Command("/bin/smapq", "-d", c.spool(), "submit", "--as-is", "-f", mark+"@client.test", "bob@guest.test")
		cmd.Stdin = strings.NewReader(content(mark))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Printf("guest: refused %s %v %s\n", mark, err, bytes.TrimSpace(out))
			continue
		}
		fmt.Println("guest: acked", mark)
	}
	return os.WriteFile(filepath.Join(shareAt, fmt.Sprint("fed", c.number)), nil, 0o644)
}

// drain runs a smapd, which it kills now and then.
func (c *nfsDrainer) drain(ctx context.Context) error {
	sink, err := newSink(func(mark, text string) error {
		if !strings.HasSuffix(text, content(mark)) {
			fmt.Println("guest: mixed", mark)
		}
		fmt.Println("guest: taken", mark)
		select {
		case c.taken <- struct{}{}:
		default:
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer sink.close()
	c.table = filepath.Join("/tmp", "table")
	rules := []string{"smapd: directory " + c.spool(), "smapd: userid smapd", "smapd: agent lmtp " + sink.address, "smapd: wakeup 2", "smapd: log stderr",
		"smapd: maxchildren 4", "smapd: badadmin none"}
	if err := os.WriteFile(c.table, []byte(strings.Join(rules, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	for ctx.Err() == nil {
		smapd := exec.Command("/bin/smapd", "-c", c.table)
		var log bytes.Buffer
		smapd.Stdout, smapd.Stderr = &log, &log
		if err := smapd.Start(); err != nil {
			return err
		}
		for range 2 + rand.IntN(12) { // deliveries, and no time: an emulated machine can be slow
			select {
			case <-ctx.Done():
			case <-c.taken:
			}
		}
		if ctx.Err() == nil {
			time.Sleep(rand.N(time.Second)) // it is killed in the middle of something
			fmt.Println("guest: kills smapd")
		}
		killAll(smapd.Process.Pid)
		_ = smapd.Wait() // killed
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "smapd: stopped") {
				fmt.Println("guest: orderly smapd") // it was not killed, but asked
			}
			if strings.Contains(line, "trouble") || strings.Contains(line, "recovered") || strings.Contains(line, "aside") {
				fmt.Print("guest: log ", line)
			}
		}
	}
	return nil
}

// killAll kills a smapd and its child, which would else end in an orderly way. Any thread of smapd may have started it.
func killAll(pid int) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // none is an answer too
	for _, thread := range threads {
		b, _ := os.ReadFile(thread) // a thread may have ended
		for word := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(word); err == nil {
				_ = syscall.Kill(child, syscall.SIGKILL) // may have ended
			}
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL) // may have ended
}

// over: everybody has fed, and no content is in the spool's new and cur, which is looked at several times.
func (c *nfsDrainer) over() bool {
	for range 5 {
		fed, _ := filepath.Glob(filepath.Join(shareAt, "fed*"))
		if len(fed) < 2 || len(c.left(".eml")) > 0 {
			return false
		}
		time.Sleep(time.Second)
	}
	for _, name := range c.left(".envelope") { // SPOOL-FORMAT.md, NFS: a request that was done twice
		fmt.Println("guest: alone", filepath.Base(name))
	}
	return true
}

// left are the names of a kind in new and cur.
func (c *nfsDrainer) left(suffix string) []string {
	names, _ := filepath.Glob(filepath.Join(c.spool(), "[nc][eu][wr]", "*"+suffix))
	return names
}
