package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestInetdLimits opens 1,000 connections that stay open, each with a process of
// its own as inetd starts them: no more than maxsessions are greeted, all others
// hear 421, and their processes are gone within a second from their start. Only
// eight start at a time, since the second is about smap and not about a machine
// that starts 1,000 processes at once; that comes after it, and has no clock.
func TestInetdLimits(t *testing.T) {
	const sessions, clients = 10, 1000
	dir := t.TempDir()
	bin, table := install(t, dir, fmt.Sprintf("smap: maxsessions %d\nsmap: sessions-file %s/sessions\n", sessions, dir))
	open, lives := manyVisits(t, bin, table, clients, 8)
	if len(open) != sessions || len(lives) != clients-sessions {
		t.Fatalf("%d were greeted and %d refused, of %d", len(open), len(lives), clients)
	}
	slices.Sort(lives)
	t.Logf("refused processes live %v at the median, %v at most", lives[len(lives)/2], lives[len(lives)-1])
	if most := lives[len(lives)*99/100]; most > time.Second { // the last hundredth is the machine's
		t.Errorf("a process that refuses its client lives %v", most)
	}
	// A place is free again when its process ends, however it ends.
	if err := open[0].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-open[0].done
	v := startVisit(t, bin, table)
	if line := firstLine(t, v.conn); !strings.HasPrefix(line, "220 ") {
		t.Errorf("with one place free again: %q", line)
	}
	for _, v := range append(open[1:], v) {
		v.conn.Close()
		<-v.done
	}

	open, lives = manyVisits(t, bin, table, clients, clients)
	if len(open) != sessions || len(lives) != clients-sessions {
		t.Errorf("at once: %d were greeted and %d refused, of %d", len(open), len(lives), clients)
	}
	for _, v := range open {
		v.conn.Close()
		<-v.done
	}
}

// manyVisits starts processes for clients that do not leave, some at a time. It
// returns those that were greeted, and how long each other process lived.
func manyVisits(t *testing.T, bin, table string, clients, atOnce int) (open []*visit, lives []time.Duration) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	places := make(chan bool, atOnce)
	for range clients {
		places <- true
		wg.Go(func() {
			defer func() { <-places }()
			began := time.Now()
			v := startVisit(t, bin, table)
			line := firstLine(t, v.conn)
			if !strings.HasPrefix(line, "220 ") {
				v.gone(t)
			}
			life := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case strings.HasPrefix(line, "220 "):
				open = append(open, v)
			case strings.HasPrefix(line, "421 "):
				lives = append(lives, life)
			default:
				t.Errorf("neither 220 nor 421: %q", line)
			}
		})
	}
	wg.Wait()
	return open, lives
}

// TestInetdPerClient: one client cannot have all places, and another is served.
func TestInetdPerClient(t *testing.T) {
	dir := t.TempDir()
	bin, table := install(t, dir, fmt.Sprintf("smap: maxperclient 2\nsmap: sessions-file %s/sessions\n", dir))
	var all []*visit
	for i, want := range []string{"220 ", "220 ", "421 "} {
		v := startVisit(t, bin, table)
		if line := firstLine(t, v.conn); !strings.HasPrefix(line, want) {
			t.Errorf("session %d: %q, want %q", i, line, want)
		}
		all = append(all, v)
	}
	for _, v := range all {
		v.conn.Close()
		<-v.done
	}
}

// TestInetdDenied: a client whose address is denied takes no place: nobody has
// made the file with the places.
func TestInetdDenied(t *testing.T) {
	dir := t.TempDir()
	bin, table := install(t, dir, fmt.Sprintf("smap: deny-hosts 127.0.0.1\nsmap: sessions-file %s/sessions\n", dir))
	v := startVisit(t, bin, table)
	if line := firstLine(t, v.conn); !strings.HasPrefix(line, "554 ") {
		t.Errorf("a denied client hears %q", line)
	}
	v.gone(t)
	if _, err := os.Stat(filepath.Join(dir, "sessions")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file with the places: %v", err)
	}
}

// TestInetdNoFile: a file that cannot be used is logged, and mail goes on.
func TestInetdNoFile(t *testing.T) {
	dir := t.TempDir()
	bin, table := install(t, dir, fmt.Sprintf("smap: sessions-file %s/missing/sessions\n", dir))
	v := startVisit(t, bin, table)
	if line := firstLine(t, v.conn); !strings.HasPrefix(line, "220 ") {
		t.Errorf("%q", line)
	}
	v.conn.Close()
	<-v.done
	if log := v.log.String(); !strings.Contains(log, "limits note=") || !strings.Contains(log, "no such file") {
		t.Errorf("log:\n%s", log)
	}
}

// TestSlotsDistrust: a file that others can read or write is none of ours.
func TestSlotsDistrust(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sessions")
	for _, mode := range []os.FileMode{0o620, 0o602, 0o640, 0o604} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := openSlots(path, 1, 1); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("a file of mode %o: %v", mode, err)
		}
	}
	if err := os.Symlink(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if _, err := openSlots(path+"2", 1, 1); err == nil {
		t.Error("a link was followed")
	}
	a, err := openSlots(filepath.Join(dir, "new"), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openSlots(filepath.Join(dir, "new"), 1, 1)
	if err != nil || a.key != b.key {
		t.Errorf("the second process has key %x, the first %x; %v", b.key, a.key, err)
	}
	if limit, err := a.client(netip.MustParseAddr("2001:db8::1")); limit != "" || err != nil {
		t.Errorf("%q, %v", limit, err)
	}
}

// A visit is a process for one connection, and the client's end of that.
type visit struct {
	conn net.Conn
	cmd  *exec.Cmd
	log  *strings.Builder
	done chan struct{}
}

func startVisit(t *testing.T, bin, table string, args ...string) *visit {
	t.Helper()
	ours, theirs, err := connection()
	if err != nil {
		t.Error(err)
		return nil
	}
	v := &visit{conn: ours, log: new(strings.Builder), done: make(chan struct{})}
	v.cmd = exec.Command(bin, append([]string{"-c", table, "-log", "stderr"}, args...)...)
	v.cmd.Stdin, v.cmd.Stdout, v.cmd.Stderr = theirs, theirs, v.log
	if err := errors.Join(v.cmd.Start(), theirs.Close()); err != nil {
		t.Error(err)
	}
	go func() {
		defer close(v.done)
		_ = v.cmd.Wait() // it may have been killed
	}()
	t.Cleanup(func() { ours.Close() })
	return v
}

// gone wants the process to end though the client stays.
func (v *visit) gone(t *testing.T) {
	t.Helper()
	select {
	case <-v.done:
	case <-time.After(patience):
		t.Error("the process of a client that was refused does not end")
	}
}
