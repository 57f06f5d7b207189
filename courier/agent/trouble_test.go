package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMaildirTrouble: whatever is wrong with a Maildir, nothing is delivered,
// nothing is refused for good, and nothing is left in it.
func TestMaildirTrouble(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		name  string
		ctx   context.Context
		spoil func(dir string, j *Job) error
		start bool // the agent itself is at fault
		text  string
	}{
		{"tmp is missing", t.Context(), func(dir string, _ *Job) error { return os.Remove(dir + "/tmp") }, false, "no such file"},
		{"a file in its place", t.Context(), func(dir string, _ *Job) error {
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
		}, true, "not a directory"},
		{"a file in the place of new", t.Context(), func(dir string, _ *Job) error {
			return errors.Join(os.Remove(dir+"/new"), os.WriteFile(dir+"/new", nil, 0o600))
		}, false, "not a directory"},
		{"content is closed", t.Context(), func(_ string, j *Job) error { return j.Content.Close() }, false, "closed"},
		{"content is short", t.Context(), func(_ string, j *Job) error { j.Size++; return nil }, false, "octets"},
		{"we stop", stopped, func(string, *Job) error { return nil }, false, "canceled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "Maildir")
			a, j := NewMaildir(dir), job(t, "x\n", "b@example.org")
			if err := errors.Join(a.prepare(), c.spoil(dir, j)); err != nil {
				t.Fatal(err)
			}
			r, err := a.Deliver(c.ctx, j)
			var start *StartError
			if c.start {
				if !asStart(err, &start) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%+v, %v", r, err)
				}
			} else if err != nil || r[0].Outcome != Retry || !strings.Contains(r[0].Text, c.text) {
				t.Errorf("%+v, %v", r, err)
			}
			for _, sub := range []string{"tmp", "new"} {
				if left, _ := filepath.Glob(filepath.Join(dir, sub, "*")); len(left) != 0 {
					t.Errorf("left in %s: %v", sub, left)
				}
			}
		})
	}
}

// TestRemoteExpires: a connection that nobody used for a while is closed, with
// QUIT; a young one stays.
func TestRemoteExpires(t *testing.T) {
	const session = "S: 220 sink.test\nC: EHLO me.test\nS: 250 sink.test\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 taken\n"
	a := scripted(t, session+"C: QUIT$\nS: 221 bye\n")
	if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); err != nil || r[0].Outcome != Delivered {
		t.Fatalf("%+v %v", r, err)
	}
	kept := func(idle time.Duration) int {
		a.mu.Lock()
		a.idle[0].idle = time.Now().Add(-idle)
		a.mu.Unlock()
		a.expire()
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.idle)
	}
	if n := kept(0); n != 1 {
		t.Errorf("a young connection: %d are kept", n)
	}
	if n := kept(2 * idleTime); n != 0 {
		t.Errorf("an old connection: %d are kept", n)
	}
}
