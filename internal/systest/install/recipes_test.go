//go:build system

package install

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	netmail "net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// recipes is a directory with spools of root's, for the scripts of contrib/recipes.
type recipes struct {
	*kit.Site
	t *testing.T
}

func newRecipes(t *testing.T) *recipes {
	t.Helper()
	r := &recipes{Site: kit.NewSite(t), t: t}
	r.smapq("in", "init")
	r.smapq("out", "init")
	return r
}

func (r *recipes) box(spool string) string { return r.File(spool) }

// smapq runs a command on one of the spools, with smapq itself in PATH, as the scripts want it.
func (r *recipes) smapq(spool string, args ...string) string {
	r.t.Helper()
	out, err := r.try(spool, "", args...)
	if err != nil {
		r.t.Fatalf("smapq %q: %v\n%s", args, err, out)
	}
	return out
}

func (r *recipes) try(spool, input string, args ...string) (string, error) {
	cmd := exec.Command(kit.Program(r.t, "smapq"), append([]string{"-d", r.box(spool)}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(kit.Program(r.t, "smapq"))+":"+os.Getenv("PATH"),
		"CURL_CA_BUNDLE="+r.File("ca.pem"))
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r *recipes) submit(content, from string, to ...string) {
	r.t.Helper()
	if out, err := r.try("in", content, append([]string{"submit", "--as-is", "-f", from, "--"}, to...)...); err != nil {
		r.t.Fatalf("submit: %v\n%s", err, out)
	}
}

// take lets a recipe drain the first spool, and wants smapq to end with that exit code.
func (r *recipes) take(want int, recipe string, args ...string) {
	r.t.Helper()
	out, err := r.try("in", "", append([]string{"take", r.script(recipe)}, args...)...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		r.t.Fatal(err)
	}
	if code != want {
		r.t.Fatalf("smapq take %s: exit code %d, want %d\n%s", recipe, code, want, out)
	}
}

// script is a recipe's path.
func (r *recipes) script(name string) string {
	r.t.Helper()
	path, err := filepath.Abs(filepath.Join("../../../contrib/recipes", name))
	if err != nil {
		r.t.Fatal(err)
	}
	return path
}

// left wants so many messages in a box of a spool.
func (r *recipes) left(spool, box string, want int) []string {
	r.t.Helper()
	names, err := filepath.Glob(filepath.Join(r.box(spool), box, "*.envelope"))
	if err != nil {
		r.t.Fatal(err)
	}
	if len(names) != want {
		r.t.Errorf("%d messages in %s/%s, want %d", len(names), spool, box, want)
	}
	return names
}

const plain = "From: Bob <bob@example.org>\nTo: ann@example.com\nSubject: hello\nMessage-ID: <1@example.org>\n\nbody\n.\n"

// TestRecipesAreShort holds them to what their directory promises.
func TestRecipesAreShort(t *testing.T) {
	t.Parallel()
	all, err := filepath.Glob("../../../contrib/recipes/*")
	if err != nil || len(all) < 5 {
		t.Fatal(all, err)
	}
	for _, path := range all {
		if n := strings.Count(kit.ReadFile(t, path), "\n"); n >= 40 {
			t.Errorf("%s has %d lines", path, n)
		}
	}
}

func TestRecipeAttachments(t *testing.T) {
	t.Parallel()
	r := newRecipes(t)
	final := r.File("files")
	r.Mkdir(final, 0o700, 0, 0)
	r.submit(plain, "bob@example.org", "ann@example.com")
	r.submit("From: bob@example.org\nTo: ann@example.com\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"+
		"--b\nContent-Type: text/plain\n\ntext\n--b\nContent-Type: application/octet-stream; name=\"../../evil.bin\"\n"+
		"Content-Disposition: attachment; filename=\"../../evil.bin\"\nContent-Transfer-Encoding: base64\n\nAAEC/w==\n--b--\n",
		"bob@example.org", "ann@example.com")
	r.take(0, "attachments", final)
	r.left("in", "cur", 0)
	dirs, err := os.ReadDir(final)
	if err != nil || len(dirs) != 1 {
		t.Fatalf("%v, %v: want one directory", dirs, err)
	}
	found, err := filepath.Glob(filepath.Join(final, dirs[0].Name(), "files", "*"))
	if err != nil || len(found) != 1 || !strings.HasSuffix(found[0], "evil.bin") {
		t.Fatalf("files %v, %v", found, err)
	}
	if got := kit.ReadFile(t, found[0]); got != "\x00\x01\x02\xff" {
		t.Errorf("the attachment is %q", got)
	}
	if got := kit.ReadFile(t, filepath.Join(final, dirs[0].Name(), "sender")); got != "bob@example.org\n" {
		t.Errorf("sender %q", got)
	}
	if _, err := os.Stat(r.File("evil.bin")); err == nil {
		t.Error("a name that a stranger chose has left the directory")
	}
}

func TestRecipeWebhook(t *testing.T) {
	t.Parallel()
	r := newRecipes(t)
	var mu sync.Mutex
	var got []*http.Request
	var bodies []string
	status := 200
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		mu.Lock()
		defer mu.Unlock()
		got, bodies = append(got, q), append(bodies, string(body))
		w.WriteHeader(status)
	})}
	go server.Serve(l)                   //nolint:errcheck // ends with the test
	t.Cleanup(func() { server.Close() }) //nolint:errcheck // likewise
	url := fmt.Sprintf("http://%s/mail", l.Addr())
	for _, c := range []struct {
		status, exit, cur, bad int
	}{{204, 0, 0, 0}, {422, 65, 0, 1}, {503, 75, 1, 1}, {429, 75, 2, 1}} {
		mu.Lock()
		status, got, bodies = c.status, nil, nil
		mu.Unlock()
		r.submit(plain, "bob@example.org", "ann@example.com", "carol@example.com")
		r.take(c.exit, "webhook", url)
		if len(got) != 1 || bodies[0] != plain || got[0].Header.Get("X-Smap-Sender") != "<bob@example.org>" ||
			strings.Join(got[0].Header["X-Smap-Recipient"], " ") != "<ann@example.com> <carol@example.com>" {
			t.Errorf("%d: the server got %v %q", c.status, got, bodies)
		}
		r.left("in", "cur", c.cur)
		r.left("in", "bad", c.bad)
	}
}

func TestRecipeFilter(t *testing.T) {
	t.Parallel()
	r := newRecipes(t)
	r.submit(plain, "<>", "ann@example.com", "carol@example.com")
	r.take(0, "filter", r.box("out"), "sed", "s/hello/HELLO/")
	r.left("in", "cur", 0)
	names := r.left("out", "new", 1)
	envelope := kit.ReadFile(t, names[0])
	for _, want := range []string{"Sender: <>\n", "Recipient: <ann@example.com>\n", "Recipient: <carol@example.com>\n"} {
		if !strings.Contains(envelope, want) {
			t.Errorf("no %q in %s", want, envelope)
		}
	}
	content := kit.ReadFile(t, strings.TrimSuffix(names[0], ".envelope")+".eml")
	if content != strings.Replace(plain, "hello", "HELLO", 1) {
		t.Errorf("content %q", content)
	}
	for _, c := range []struct {
		command        string
		exit, cur, bad int
	}{{"cat >/dev/null; exit 65", 65, 0, 1}, {"head -c 5; exit 1", 75, 1, 1}, {"cat >/dev/null", 75, 2, 1}} {
		r.submit(plain, "bob@example.org", "ann@example.com")
		r.take(c.exit, "filter", r.box("out"), "sh", "-c", c.command)
		r.left("in", "cur", c.cur)
		r.left("in", "bad", c.bad)
		r.left("out", "new", 1)
	}
}

func TestRecipeVacation(t *testing.T) {
	t.Parallel()
	r := newRecipes(t)
	state := r.File("state")
	r.Mkdir(state, 0o700, 0, 0)
	text := r.Write(r.File("away.txt"), "I am away.\n", 0o644)
	answers := 0
	for _, c := range []struct {
		name, from, content string
		answer              bool
	}{
		{"first", "bob@example.org", plain, true},
		{"again within a week", "bob@example.org", plain, false},
		{"another, folded To", "dan@example.org", strings.Replace(plain, "To: ann", "To:\n ANN", 1), true},
		{"null sender", "<>", plain, false},
		{"a list", "eve@example.org", "List-Id: <l.example.org>\n" + plain, false},
		{"bulk", "eve@example.org", "Precedence: bulk\n" + plain, false},
		{"an answer", "eve@example.org", "Auto-Submitted: auto-replied\n" + plain, false},
		{"by hand", "fay@example.org", "Auto-Submitted: no\n" + plain, true},
		{"not to her", "eve@example.org", strings.Replace(plain, "ann@", "all@", 1), false},
		{"a robot", "MAILER-DAEMON@example.org", plain, false},
		{"herself", "ann@example.com", plain, false},
	} {
		r.submit(c.content, c.from, "ann@example.com")
		r.take(0, "vacation", "ann@example.com", text, state, r.box("out"))
		if c.answer {
			answers++
		}
		if r.left("out", "new", answers); t.Failed() {
			t.Fatal(c.name)
		}
	}
	r.left("in", "cur", 0)
	for _, name := range r.left("out", "new", answers) {
		if envelope := kit.ReadFile(t, name); !strings.Contains(envelope, "Sender: <>\n") {
			t.Errorf("an answer with a sender: %s", envelope)
		}
		m, err := netmail.ReadMessage(strings.NewReader(kit.ReadFile(t, strings.TrimSuffix(name, ".envelope")+".eml")))
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]string{"Auto-Submitted": "auto-replied", "In-Reply-To": "<1@example.org>", "Subject": "Auto: hello"} {
			if got := m.Header.Get(key); got != want {
				t.Errorf("%s: %q, want %q", key, got, want)
			}
		}
		if _, err := m.Header.Date(); err != nil {
			t.Errorf("date: %v", err)
		}
	}
}

func TestRecipeSmarthost(t *testing.T) {
	t.Parallel()
	host := kit.NewPeer(t)
	r := newRecipes(t)
	r.Write(r.File("ca.pem"), kit.ReadFile(t, host.CA), 0o644)
	r.submit(plain, "bob@example.org", "ann@system.test", "carol@system.test")
	r.take(0, "smarthost", fmt.Sprintf("smtp://127.0.0.1:%d", host.Port))
	r.left("in", "cur", 0)
	m := host.SpooledFor("ann@system.test", 1, 10*time.Second)
	if len(m) != 1 || !strings.HasSuffix(m[0].Content, plain) {
		t.Fatalf("the smarthost has %v", m)
	}
	r.submit(plain, "bob@example.org", "ann@elsewhere.test") // it relays for nobody
	r.take(65, "smarthost", fmt.Sprintf("smtp://127.0.0.1:%d", host.Port))
	r.left("in", "bad", 1)
	r.submit(plain, "bob@example.org", "ann@system.test")
	r.take(75, "smarthost", fmt.Sprintf("smtp://127.0.0.1:%d", kit.FreePort(t)))
	r.left("in", "cur", 1)
}
