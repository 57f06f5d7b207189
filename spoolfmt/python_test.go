package spoolfmt_test

import (
	"errors"
	"fmt"
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

// TestPythonGoesOn: trouble with one message ends no pass of the other
// implementation. The message after it is delivered.
func TestPythonGoesOn(t *testing.T) {
	const head = "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\n"
	const failed = head + "Recipient: <c@example.org>\nSize: 2\nFailed: <c@example.org> 2026-11-23T20:04:13Z x\n\n"
	full := []string{"bad/m.eml"}
	for n := 1; n < 1000; n++ {
		full = append(full, fmt.Sprintf("bad/m.%d.eml", n))
	}
	for _, test := range []struct {
		name, envelope string
		taken          []string
		fault          string // what the agent does with the message m
		file, want     string // what is left of it
	}{
		{"envelope gone", head + "Size: 2\n\n", nil, "rm cur/m.envelope", "cur/m.eml", "m\n"},
		{"envelope replaced", failed, nil, "echo other >tmp/e; mv tmp/e cur/m.envelope", "cur/m.envelope", "other\n"},
		{"content gone", head + "Size: 2\n\n", nil, "rm cur/m.eml", "", ""},
		{"bad has no free name", "malformed\n", full, "", "cur/m.eml", "m\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, dir := openSpool(t)
			put := func(name, text string) {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range test.taken {
				put(name, "")
			}
			put("new/m.eml", "m\n")
			put("new/m.envelope", test.envelope)
			put("new/next.eml", "n\n")
			put("new/next.envelope", head+"Size: 2\n\n")
			out := filepath.Join(t.TempDir(), "out")
			python(t, "", "drain", dir, "sh", "-c",
				`set -e; cd "$0"; read -r x; if [ "$x" = m ]; then eval "$1"; else echo "$x" >>"$2"; fi`, dir, test.fault, out)
			if got, err := os.ReadFile(out); err != nil || string(got) != "n\n" {
				t.Errorf("the next message: %q, %v", got, err)
			}
			if test.file == "" {
				return
			}
			if got, err := os.ReadFile(filepath.Join(dir, test.file)); err != nil || !strings.HasSuffix(string(got), test.want) {
				t.Errorf("%s: %q, %v", test.file, got, err)
			}
		})
	}
}

// TestPythonMoves: what the other implementation does when a move or a link meets
// another program, or a file system without links.
func TestPythonMoves(t *testing.T) {
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3; make test installs it when it can")
	}
	cmd := exec.Command(path, "-B", "-c", pythonMoves, t.TempDir())
	cmd.Env = append(os.Environ(), "PYTHONPATH=../contrib/python")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

const pythonMoves = `
import errno, os, sys
import spoolfmt
spool = spoolfmt.Spool(sys.argv[1])
link, unlink = os.link, os.unlink

def put(box, name, text='x\n'):
    with open(spool.path(box, name), 'w') as f:
        f.write(text)
    return spool.path(box, name)

def left(box):
    names = sorted(os.listdir(spool.path(box)))
    for name in names:
        unlink(spool.path(box, name))
    return names

# B: the old name is gone when the move removes it.
def gone(path):
    if path == old:
        change()
    unlink(path)

old, new, third = put('new', 'a'), spool.path('cur', 'a'), spool.path('new', 'b')
change = lambda: os.rename(old, third)
os.unlink = gone
try:
    spoolfmt.move(old, new)
    sys.exit('a move that another program was faster with did not fail')
except FileNotFoundError:
    assert (left('new'), left('cur')) == (['b'], [])
old, change = put('new', 'a'), lambda: unlink(old)
spoolfmt.move(old, new)
assert (left('new'), left('cur')) == ([], ['a'])
os.unlink = unlink

# 9.6: the system refuses a link.
for code in (errno.EPERM, errno.EACCES, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP, errno.EIO):
    def refuse(a, b, **more):
        if a == path:
            raise OSError(code, os.strerror(code))
        link(a, b, **more)
    path, os.link = put('cur', 'a'), refuse
    try:
        spool.link_or_copy(path, spool.path('bad', 'a'))
        copied = True
    except OSError:
        copied = False
    assert (copied, left('bad'), left('tmp'), left('cur')) == ((True, ['a'], [], ['a']) if code != errno.EIO else (False, [], [], ['a'])), code
os.link = link

# 9.6: a name in bad is taken meanwhile, the content's or the envelope's.
for taken in ('m.eml', 'm.envelope'):
    put('cur', 'm.eml'), put('cur', 'm.envelope', 'hello\n'), put('bad', taken)
    spool.free_in_bad = lambda ident, names=iter(('m', 'm.1')): next(names)
    spool.set_aside('m', 'malformed')
    assert (left('bad'), left('cur')) == (['m.1.eml', 'm.1.envelope', taken], []), taken
`
