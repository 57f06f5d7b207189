package spoolfmt_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"smap/spoolfmt/envelope"
)

// python runs the second implementation, which must understand what this one
// writes, and the other way round.
func python(t *testing.T, input string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3; make test installs it when it can")
	}
	cmd := exec.Command(path, append([]string{"../contrib/python/spoolfmt.py"}, args...)...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(input), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestPythonFeeds(t *testing.T) {
	s, dir := openSpool(t)
	id := python(t, "Subject: x\n\nhello\n", "feed", dir, "ann@example.com", "bob@example.org")
	c, err := s.Claim(id)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := delivered(t, c), "<ann@example.com> bob@example.org\nSubject: x\n\nhello\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	empty(t, s)
}

func TestPythonDrains(t *testing.T) {
	s, dir := openSpool(t)
	d, err := s.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte("Subject: x\n\nhello\n")); err != nil {
		t.Fatal(err)
	}
	e, err := envelope.New(envelope.Path{}, []envelope.Path{{Address: "bob@example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(e); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	python(t, "", "drain", dir, "sh", "-c", `{ echo "$SENDER $RECIPIENTS"; cat; } >"$0"`, out)
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if want := " bob@example.org\nSubject: x\n\nhello\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	empty(t, s)
}

// TestPythonLeavesForeignEnvelopes: the other implementation checks the owner of an
// envelope before its text, and removes no first line that a feeder wrote.
func TestPythonLeavesForeignEnvelopes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of two users")
	}
	const feeder, other = 12345, 12346
	text := "Set-Aside: T x\nSpool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\nSize: 2\n\n"
	for _, owner := range []int{feeder, other} {
		_, dir := openSpool(t)
		for name, file := range map[string]struct {
			text  string
			owner int
		}{"m.eml": {"x\n", feeder}, "m.envelope": {text, owner}} {
			path := filepath.Join(dir, "new", name)
			if err := errors.Join(os.WriteFile(path, []byte(file.text), 0o640), os.Chown(path, file.owner, -1)); err != nil {
				t.Fatal(err)
			}
		}
		python(t, "", "drain", dir, "false")
		got, err := os.ReadFile(filepath.Join(dir, "bad/m.envelope"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(got), text) || owner == other && string(got) != text {
			t.Errorf("user %d's envelope in bad: %q", owner, got)
		}
	}
}
