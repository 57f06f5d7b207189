package detach

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestPidFile: one smapd has it at a time; what a dead one left is overwritten, and
// a link is not followed.
func TestPidFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pid")
	if err := os.WriteFile(path, []byte("4194304000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	remove, err := WritePid("smapd", path)
	if err != nil {
		t.Fatal(err)
	}
	mine := strconv.Itoa(os.Getpid())
	if text, err := os.ReadFile(path); string(text) != mine+"\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := WritePid("smapd", path); err == nil || !strings.Contains(err.Error(), "smapd is already running, as process "+mine) {
		t.Errorf("a second one: %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != mine+"\n" || err != nil {
		t.Errorf("after a second one: %q, %v", text, err)
	}
	remove()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("it is left: %v", err)
	}
	if remove, err = WritePid("smapd", path); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // by somebody, who then starts another
		t.Fatal(err)
	}
	other, err := WritePid("smapd", path)
	if err != nil {
		t.Fatal(err)
	}
	remove()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's: %v", err)
	}
	other()
	if err := os.Symlink("elsewhere", path); err != nil {
		t.Fatal(err)
	}
	if _, err := WritePid("smapd", path); err == nil {
		t.Error("a link was followed")
	}
	if _, err := os.Lstat(filepath.Join(dir, "elsewhere")); !os.IsNotExist(err) {
		t.Errorf("a link was followed: %v", err)
	}
}
