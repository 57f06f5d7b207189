//go:build system && guests

package guests

import (
	"bytes"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// modules finds modules of a kernel with all that they depend on, in an order in which they can be loaded. One that is
// built into the kernel is none.
func modules(t *testing.T, root string, names ...string) [][]byte {
	t.Helper()
	paths := map[string]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if name, _, ok := strings.Cut(filepath.Base(path), ".ko"); ok {
			paths[plain(name)] = path
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("no modules in %s: %v", root, err)
	}
	var all [][]byte
	have := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		path, ok := paths[plain(name)]
		if !ok || have[path] {
			return
		}
		have[path] = true
		b := decompressed(t, path)
		for _, needed := range dependencies(t, b) {
			add(needed)
		}
		all = append(all, b)
	}
	for _, name := range names {
		add(name)
	}
	return all
}

// plain is a module's name as it is compared: the kernel takes - and _ for the same.
func plain(name string) string { return strings.ReplaceAll(name, "-", "_") }

func decompressed(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil && strings.HasSuffix(path, ".xz") {
		b, err = exec.Command("xz", "-dc", path).Output()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dependencies are the modules that a module names, hard and soft ones.
func dependencies(t *testing.T, module []byte) []string {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		t.Fatal(err)
	}
	section := f.Section(".modinfo")
	if section == nil {
		t.Fatal("a module without .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.SplitSeq(string(info), "\x00") {
		if rest, ok := strings.CutPrefix(line, "depends="); ok {
			names = append(names, strings.FieldsFunc(rest, func(r rune) bool { return r == ',' })...)
		}
		if rest, ok := strings.CutPrefix(line, "softdep=pre:"); ok {
			names = append(names, strings.Fields(rest)...)
		}
	}
	return names
}
