package jail

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/jail/landlock"
)

// build puts a binary of this test into dir that everybody can execute, and
// that can confine all of its threads: with cgo, which -race brings, none can.
func build(dir string) (path string, err error) {
	path = filepath.Join(dir, "jail.test")
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0); errno == 0 {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		return path, copyFile(self, path)
	}
	cmd := exec.Command("go", "test", "-c", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, os.Chmod(path, 0o755)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user and change the root directory")
	}
}

// A site is the surroundings of a jailed process: a spool that belongs to its
// user, as with the table of the seed, and things outside that it might reach.
type site struct {
	dir     string
	program string
	other   int
	port    int
}

func newSite(t *testing.T) *site {
	t.Helper()
	needRoot(t)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &site{dir: t.TempDir()}
	check(os.Chmod(filepath.Dir(s.dir), 0o755))
	check(os.Chmod(s.dir, 0o755))
	program, err := build(s.dir)
	check(err)
	s.program = program
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	s.port = listener.Addr().(*net.TCPAddr).Port
	abstract, err := net.Listen("unix", "@jail-"+strconv.Itoa(s.port))
	check(err)
	t.Cleanup(func() { _ = errors.Join(listener.Close(), abstract.Close()) })

	in, ready := s.start(t, "other", "", &syscall.Credential{Uid: nobody, Gid: nobody})
	if ready != "ready" {
		t.Fatalf("the other process says %q", ready)
	}
	s.other = in.Process.Pid
	return s
}

// spool makes a fresh spool with a message in each box, below the site.
func (s *site) spool(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(s.dir, "spool")
	if err != nil {
		t.Fatal(err)
	}
	for _, box := range []string{"tmp", "new", "cur", "bad"} {
		path := filepath.Join(dir, box)
		err = errors.Join(err, os.Mkdir(path, 0o700))
		err = errors.Join(err, os.WriteFile(filepath.Join(path, "m.eml"), []byte("x\n"), 0o640))
		err = errors.Join(err, os.Chown(path, nobody, nobody), os.Chown(filepath.Join(path, "m.eml"), nobody, nobody))
	}
	tmp := filepath.Join(dir, "tmp")
	err = errors.Join(err, os.Chown(dir, nobody, nobody), os.Symlink("/etc/passwd", filepath.Join(tmp, "passwd")),
		os.Link(s.program, filepath.Join(tmp, "program")))
	// A path of a socket is short; a descriptor's is.
	fd, oerr := unix.Open(tmp, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err = errors.Join(err, oerr); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	socket, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/socket", fd))
	if err == nil {
		socket.(*net.UnixListener).SetUnlinkOnClose(false) // the descriptor will be another's
		err = os.Chown(filepath.Join(tmp, "socket"), nobody, nobody)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return dir
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

func (s *site) command(ctx context.Context, column, attempt, spool string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.program)
	cmd.Env = []string{
		envColumn + "=" + column, envAttempt + "=" + attempt, envSpool + "=" + spool,
		envOther + "=" + strconv.Itoa(s.other), envPort + "=" + strconv.Itoa(s.port),
	}
	return cmd
}

// start starts a process that stays until the test ends, and returns its first
// line.
func (s *site) start(t *testing.T, column, spool string, who *syscall.Credential) (*exec.Cmd, string) {
	t.Helper()
	cmd := s.command(t.Context(), column, "", spool)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	in, ierr := cmd.StdinPipe()
	out, oerr := cmd.StdoutPipe()
	if err := errors.Join(ierr, oerr); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(in.Close(), cmd.Wait()) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

// try returns what came of an attempt: an error's name, killed, or - when it was
// possible.
func (s *site) try(t *testing.T, column, attempt string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := s.command(ctx, column, attempt, s.spool(t))
	passwd, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer passwd.Close() // only read
	cmd.ExtraFiles = []*os.File{passwd}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws := exit.Sys().(syscall.WaitStatus); ws.Signaled() && ws.Signal() == unix.SIGSYS {
			return "killed"
		}
	}
	if err != nil {
		t.Errorf("%s, %s: %v\n%s%s", column, attempt, err, out, errs.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// A row is one of SECURITY.md's tables of attempts: what is tried, and what each
// of the columns makes of it.
type row struct {
	line    int
	attempt string
	want    map[string]string
}

// table reads all tables of the document whose first column is headed Attempt.
func table(t *testing.T) (rows []row) {
	t.Helper()
	data, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for i, line := range strings.Split(string(data), "\n") {
		if !strings.HasPrefix(line, "|") {
			columns = nil
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		switch {
		case cells[0] == "Attempt":
			columns = cells
		case columns == nil || strings.HasPrefix(cells[0], "---"):
		case len(cells) != len(columns):
			t.Fatalf("SECURITY.md:%d: %d cells, want %d", i+1, len(cells), len(columns))
		default:
			r := row{line: i + 1, attempt: cells[0], want: make(map[string]string)}
			for c := 1; c < len(cells); c++ {
				r.want[columns[c]] = cells[c]
			}
			rows = append(rows, r)
		}
	}
	return rows
}

var sinceABI = regexp.MustCompile(`^([A-Z]+) \(ABI ([0-9]+)\)$`)

// expected resolves a cell that depends on the kernel's version of Landlock. A
// cell of * depends on how the system is set up.
func expected(cell, without string, abi int) string {
	if m := sinceABI.FindStringSubmatch(cell); m != nil {
		if n, _ := strconv.Atoi(m[2]); abi >= n {
			return m[1]
		}
		return without
	}
	return cell
}

// TestInside makes every attempt in every column of SECURITY.md's tables.
func TestInside(t *testing.T) {
	needRoot(t)
	abi, err := landlock.Version()
	without := err != nil // of an older kernel the columns that need no Landlock are true
	s := newSite(t)
	rows := table(t)
	if len(rows) < 40 {
		t.Fatalf("SECURITY.md has %d attempts; its table is not to be found", len(rows))
	}
	var seen []string
	for _, r := range rows {
		seen = append(seen, r.attempt)
		t.Run(r.attempt, func(t *testing.T) {
			t.Parallel()
			for column, cell := range r.want {
				want := expected(cell, r.want["user"], abi)
				if want == "*" || without && (column == "landlock" || column == "not root" || column == "all" || column == "lookup") {
					continue
				}
				got := s.try(t, column, r.attempt)
				if got == errNoGate.Error() {
					t.Skip("this kernel has " + got)
				}
				if got != want {
					t.Errorf("SECURITY.md:%d: %s: %s, want %s", r.line, column, got, want)
				}
			}
		})
	}
	for name := range attempts() {
		if !slices.Contains(seen, name) {
			t.Errorf("SECURITY.md has no row for %q", name)
		}
	}
}

// TestLogFile has standard error on a disk: the limit of a file's size would end
// the log when that is as large.
func TestLogFile(t *testing.T) {
	s := newSite(t)
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // nothing is written there
	cmd := s.command(t.Context(), "limits", "write more than the largest file", s.spool(t))
	cmd.Stderr = log
	if out, err := cmd.Output(); err != nil || string(out) != "-\n" {
		t.Errorf("%q, %v; want that it is possible", out, err)
	}
}

// TestThreads looks at every thread of a process that is in the jail, and came
// there with groups and without.
func TestThreads(t *testing.T) {
	if _, err := landlock.Version(); err != nil {
		t.Skipf("the whole jail needs Landlock: %v", err)
	}
	s := newSite(t)
	id := strconv.Itoa(nobody)
	for _, c := range []struct {
		before []uint32
		after  string
	}{{[]uint32{0, 4, 6}, id}, {[]uint32{}, ""}} {
		cmd, ready := s.start(t, "all", s.spool(t), &syscall.Credential{Groups: c.before})
		if ready != "ready" {
			t.Fatalf("the jailed process says %q", ready)
		}
		checkThreads(t, cmd.Process.Pid, c.after)
	}
}

func checkThreads(t *testing.T, pid int, groups string) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) < 4 {
		t.Fatalf("threads: %v, %v", files, err)
	}
	none := "0000000000000000"
	for _, file := range files {
		status := statusOf(t, file)
		if status == nil {
			continue
		}
		id := strconv.Itoa(nobody)
		ids := strings.Join([]string{id, id, id, id}, "\t")
		for name, want := range map[string]string{
			"Uid": ids, "Gid": ids, "Groups": groups, "NoNewPrivs": "1", "Seccomp": "2",
			"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
		} {
			if status[name] != want {
				t.Errorf("%s: %s is %q, want %q", file, name, status[name], want)
			}
		}
	}
}

// statusOf is a thread's status in /proc; nil if it has ended.
func statusOf(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	status := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.TrimSpace(value)
	}
	return status
}
