//go:build system && long

package install

import (
	"path/filepath"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// TestScreens makes README's pictures again, in a copy of what their script needs.
func TestScreens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kit.Run(t, "/bin/sh", "-c", `cd "$1" && cp -r --parents -t "$2" bin .ci go.mod go.sum contrib/picture/screens internal/tools/screen`, "sh", kit.Tree(), dir)
	kit.Run(t, filepath.Join(dir, "contrib/picture/screens"))
	for name, texts := range map[string][]string{
		"list.svg":  {"connection refused", "no such user", "deferred", "bad", "new"},
		"watch.svg": {"the disk is full", "robot"},
	} {
		picture := kit.ReadFile(t, filepath.Join(dir, "contrib/picture", name))
		for _, text := range texts {
			if !strings.Contains(picture, text) {
				t.Errorf("%s does not show %q", name, text)
			}
		}
	}
}
