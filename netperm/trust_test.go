package netperm

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const smallTable = "smap: directory /var/spool/smap\nsmap: userid 5\nsmap: groupid 5\n"

// trustedDir is a directory that passes: the test's own, which lies in a sticky
// directory or in directories of ours.
func trustedDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "probe")
	write(t, file, "", 0o600)
	if err := CheckFile(file); err != nil {
		t.Skipf("temporary files are not trusted here: %v", err)
	}
	return dir
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // past the umask
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	dir := trustedDir(t)
	for _, mode := range []os.FileMode{0o600, 0o400, 0o644, 0o444} {
		name := filepath.Join(dir, "netperm-table")
		_ = os.Remove(name) // not there the first time
		write(t, name, smallTable, mode)
		table, err := Load(name, "smap")
		if err != nil {
			t.Fatalf("mode %o: %v", mode, err)
		}
		if got := table.String(Directory); got != "/var/spool/smap" {
			t.Errorf("directory %q", got)
		}
	}
}

func TestLoadLines(t *testing.T) {
	dir := trustedDir(t)
	name := filepath.Join(dir, "netperm-table")
	write(t, name, smallTable+"smap: timeout 5x\n", 0o600)
	_, err := Load(name, "smap")
	want := name + `:4: timeout: "5x" is not a number of seconds`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = Load(filepath.Join(dir, "none"), "smap")
	if want := filepath.Join(dir, "none") + ": no such file or directory; -c names another file, and netperm-table(5) says what is in one"; !errors.Is(err, os.ErrNotExist) || err.Error() != want {
		t.Errorf("a table that does not exist: %v, want %s", err, want)
	}
}

// refused are tables that Load must refuse, and what it must say.
func TestLoadRefuses(t *testing.T) {
	dir := trustedDir(t)
	sub := func(name string, mode os.FileMode) string {
		d := filepath.Join(dir, name)
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(d, "table"), smallTable, 0o600)
		if err := os.Chmod(d, mode); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(d, "table")
	}
	file := func(name string, mode os.FileMode) string {
		f := filepath.Join(dir, name)
		write(t, f, smallTable, mode)
		return f
	}
	link := func(name, target string) string {
		l := filepath.Join(dir, name)
		if err := os.Symlink(target, l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big")
	write(t, big, strings.Repeat("#\n", MaxTable/2+1), 0o600)
	link("loop-b", "loop-a")
	for _, test := range []struct{ path, want string }{
		{file("group", 0o620), "can be written by its group (chmod g-w)"},
		{file("others", 0o602), "can be written by others (chmod o-w)"},
		{sub("group-dir", 0o775), "group-dir can be written by its group"},
		{sub("others-dir", 0o757), "others-dir can be written by others"},
		{sub("sticky-dir", 0o777|os.ModeSticky), ""},
		{link("link", "sticky-dir/table"), ""},
		{link("abs-link", filepath.Join(dir, "sticky-dir", "table")), ""},
		{link("up-link", "sticky-dir/../sticky-dir/./table"), ""},
		{link("bad-link", "others-dir/table"), "others-dir can be written by others"},
		{link("dir-link", "others-dir") + "/table", "others-dir can be written by others"},
		{link("loop-a", "loop-b"), "too many symbolic links"},
		{link("dangling", "nothing"), "no such file"},
		{filepath.Join(dir, "sticky-dir"), "is not a regular file"},
		{filepath.Join(dir, "sticky-dir", "table", "more"), "not a directory"},
		{fifo, "is not a regular file"},
		{"/dev/null", "/dev/null: can be written by others"},
		{"/", "is not a regular file"},
		{"", "is not a path"},
		{"a\x00b", "is not a path"},
		{big, "the table is larger than 1048576 octets"},
	} {
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err = Load(test.path, "smap")
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("Load(%q) hangs", test.path)
		}
		switch {
		case test.want == "" && err != nil:
			t.Errorf("Load(%q): %v", test.path, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("Load(%q): %v, want %s", test.path, err, test.want)
		}
	}
	if _, err := Load(filepath.Join(dir, "others"), "smap"); !errors.Is(err, ErrUntrusted) {
		t.Errorf("%v is not ErrUntrusted", err)
	}
}

func TestLoadOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := trustedDir(t)
	name := filepath.Join(dir, "table")
	write(t, name, smallTable, 0o600)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{name, link, dir} {
		if err := os.Lchown(path, 1, -1); err != nil {
			t.Fatal(err)
		}
		_, err := Load(link, "smap")
		want := path + " does not belong to root"
		if path == link {
			want = path + ": does not belong to root"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with another's %s: %v", path, err)
		}
		if err := os.Lchown(path, 0, -1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(link, "smap"); err != nil {
		t.Error(err)
	}
}

func TestLoadRequiresUserid(t *testing.T) {
	dir := trustedDir(t)
	name := filepath.Join(dir, "table")
	write(t, name, "smap: directory /var/spool/smap\n", 0o600)
	_, err := Load(name, "smap")
	if root := os.Geteuid() == 0; (err != nil) != root {
		t.Errorf("without userid, root %t: %v", root, err)
	}
}

func TestOpenFile(t *testing.T) {
	dir := trustedDir(t)
	name := filepath.Join(dir, "key.pem")
	write(t, name, "secret", 0o600)
	f, err := OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "secret" {
		t.Errorf("read %q, %v", data, err)
	}
	write(t, name, "secret", 0o666)
	if f, err := OpenFile(name); !errors.Is(err, ErrUntrusted) || f != nil {
		t.Errorf("OpenFile of a file that others can write: %v", err)
	}
	t.Chdir(dir)
	write(t, name, "secret", 0o400)
	for _, relative := range []string{"key.pem", "./key.pem", "../" + filepath.Base(dir) + "/key.pem"} {
		if err := CheckFile(relative); err != nil {
			t.Errorf("CheckFile(%q): %v", relative, err)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	dir := trustedDir(t)
	write(t, filepath.Join(dir, "file"), "", 0o600)
	write(t, filepath.Join(dir, "open"), "", 0o666)
	write(t, filepath.Join(dir, "prog"), "", 0o755)
	for program, text := range map[string]string{
		"smap": "smap: directory D\n" + // 1
			"smap: tls-cert D/file\nsmap: tls-key D/open\nsmap: recipients D/none\n" + // 3, 4
			"smap: local-domains example.com D/file D/open\n", // 5
		"smapd": "smapd: directory D\n" +
			"smapd: executable D/prog\nsmapd: sendmail D/file -i\nsmapd: agent exec D/none x\n" + // 3
			"smapd: metrics D/open\n",
	} {
		table, err := Parse([]byte(strings.ReplaceAll(text, "D", dir)), "t", Options{Program: program})
		if err != nil {
			t.Fatal(err)
		}
		got := Split(table.CheckFiles())
		want := map[string][]string{
			"smap":  {"t:3: tls-key: " + dir + "/open can be written by", "t:4: recipients: " + dir + "/none does not exist", "t:5: local-domains: "},
			"smapd": {"t:3: sendmail: " + dir + "/file is not executable"},
		}[program]
		if len(got) != len(want) {
			t.Fatalf("%s: %v, want %v", program, got, want)
		}
		for i := range want {
			if !strings.HasPrefix(got[i].Error(), want[i]) {
				t.Errorf("%s: %v, want %s", program, got[i], want[i])
			}
		}
	}
	table, err := Parse([]byte("smapd: directory /d\nsmapd: sendmail "+dir+"/prog\n"), "t", Options{Program: "smapd"})
	if err != nil {
		t.Fatal(err)
	}
	if err := table.CheckFiles(); err != nil {
		t.Error(err)
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"most": maxFile, "more": maxFile + 1} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := ReadFile(filepath.Join(dir, "most")); err != nil || len(data) != maxFile {
		t.Errorf("%d octets, %v", len(data), err)
	}
	if _, err := ReadFile(filepath.Join(dir, "more")); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("a longer one: %v", err)
	}
	if _, err := ReadFile(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}

// TestReplaceable has a spool in directories that others may write to or not.
func TestReplaceable(t *testing.T) {
	dir := trustedDir(t)
	for _, d := range []string{"good/spool", "open/spool", "sticky/spool", "links"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"open": 0o777, "sticky": 0o777 | os.ModeSticky, "good/spool": 0o777} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"good": "../good/spool", "open": "../open/spool"} {
		if err := os.Symlink(to, filepath.Join(dir, "links", link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, warns := range map[string]bool{"good/spool": false, "open/spool": true, "open/missing": true, "sticky/spool": false,
		"missing/spool": false, "links/good": false, "links/open": true} {
		table, err := Parse([]byte("smap: userid 5\nsmap: directory "+filepath.Join(dir, name)+"\n"), "table", Options{Program: "smap"})
		if err != nil {
			t.Fatal(err)
		}
		got := table.Replaceable()
		if len(got) > 0 != warns {
			t.Errorf("%s: %v", name, got)
		}
		if warns && (got[0].Line != 2 || !strings.Contains(got[0].Error(), "open can be written by others")) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
