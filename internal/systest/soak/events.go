//go:build system

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// operator looks after the spool with smapq: deletes what only waits to be deleted, looks at what was set aside, sends on
// its way again what can be, and asks for attempts before their time.
func (k *soakSite) operator(ctx context.Context, smapq string, mean time.Duration) {
	for pause(ctx, mean) {
		k.turn.RLock()
		if err := k.operate(smapq); err != nil {
			k.books.complain("%s: %v", k.name, err)
		}
		k.turn.RUnlock()
	}
}

func (k *soakSite) operate(smapq string) error {
	do := func(args ...string) ([]byte, error) {
		out, err := exec.Command(smapq, append([]string{"-d", k.Spool}, args...)...).Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("smapq %v: %w: %s", args, err, exit.Stderr)
		}
		return out, err
	}
	out, err := do("list", "--json")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		var m struct {
			ID, State, Reason string
			Recipients        []struct{ Address, Status string }
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			return fmt.Errorf("smapq list: %w: %s", err, line)
		}
		if len(m.Recipients) == 0 {
			continue
		}
		to, _, _ := strings.Cut(m.Recipients[0].Address, "@")
		kind, _, _ := strings.Cut(to, "-")
		// A message may be claimed, or gone, since it was listed: then there will be another look.
		switch {
		case kind == "gone" && m.State == "deferred":
			if _, err := do("delete", "-y", m.ID); err == nil {
				k.books.note(k.books.deleted, to)
			}
		case m.State == "bad" && kind == "back":
			if k.books.note(k.books.aside, to); m.Reason == "" {
				return fmt.Errorf("%s was set aside without a reason", to)
			}
			if _, err := do("requeue", m.ID); err != nil {
				return err
			}
		case m.State == "bad":
			if k.books.note(k.books.aside, to); m.Reason == "" {
				return fmt.Errorf("%s was set aside without a reason", to)
			}
			if _, err := do("delete", "-y", m.ID); err != nil {
				return err
			}
		}
	}
	if rand.IntN(10) == 0 {
		_, _ = do("retry", "--all") // 75 where one of them is being delivered just now
	}
	return nil
}

// away renames new/ away for a moment, under the feet of everybody.
func (k *soakSite) away() error {
	k.turn.Lock()
	defer k.turn.Unlock()
	err := os.Rename(k.Path("new"), k.File("away"))
	time.Sleep(rand.N(1500 * time.Millisecond))
	return errors.Join(err, os.Rename(k.File("away"), k.Path("new")))
}

// another renames new/ away, makes another one, tells smap, and for a while puts back what still comes into the old one from
// sessions that began before.
func (k *soakSite) another(wait time.Duration, reload func()) error {
	old := k.File(fmt.Sprintf("old-%d", len(k.old)))
	k.old = append(k.old, old)
	k.turn.Lock()
	err := os.Rename(k.Path("new"), old)
	k.MakeSpool()
	k.turn.Unlock()
	reload()
	for end := time.Now().Add(wait); err == nil && time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		err = k.putBack(old)
	}
	return err
}

// putBack moves what is in another directory to new/, as whoever moves messages does: under the lock of the content, the
// content first.
func (k *soakSite) putBack(from string) error {
	names, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, suffix := range []string{".eml", ".mail", ".envelope"} {
		for _, e := range names {
			id, ok := strings.CutSuffix(e.Name(), suffix)
			if ok {
				err = errors.Join(err, k.move(from, id, suffix))
			}
		}
	}
	return err
}

func (k *soakSite) move(from, id, suffix string) error {
	path := filepath.Join(from, id+suffix)
	if suffix == ".envelope" {
		if _, err := os.Lstat(filepath.Join(from, id+".eml")); err == nil {
			return nil // its content is still locked
		}
	} else {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return nil // somebody is at work on it
		}
	}
	err := unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, k.Path("new", id+suffix), unix.RENAME_NOREPLACE)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// blow kills one of the programs of a site, or both of its processes, and returns whom.
func (k *soakSite) blow() (killed []int) {
	victim := k.all[rand.IntN(len(k.all))]
	pids := []int{victim.parent(), victim.child()}
	switch rand.IntN(3) {
	case 0:
		pids = pids[1:]
	case 1:
		pids = pids[:1]
	}
	for _, pid := range pids {
		if pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed = append(killed, pid)
		}
	}
	return killed
}

func (k *kept) hup() {
	syscall.Kill(k.parent(), syscall.SIGHUP) //nolint:errcheck // it may just be killed
}
