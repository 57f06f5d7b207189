//go:build system

package soak

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestSoak runs for a while, or as long as SOAK says: 1h is what PROOF.md tells of.
func TestSoak(t *testing.T) {
	t.Parallel()
	lasts := 20 * time.Second
	if word := os.Getenv("SOAK"); word != "" {
		var err error
		if lasts, err = time.ParseDuration(word); err != nil {
			t.Fatal(err)
		}
	}
	s := &soak{t: t, lasts: lasts, twins: true}
	if s.short() {
		s.gauges.slack = 12 // all still grow to what they need
	}
	for _, w := range s.run(filepath.Dir(kit.Program(t, "smap"))) {
		t.Error(w)
	}
}

// TestSoakNotices soaks a smap that never gives a connection back.
func TestSoakNotices(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	source, err := filepath.Abs("../../../cmd/smap/listen.go")
	if err != nil {
		t.Fatal(err)
	}
	const closes = "			_ = conn.Close() // the client has its replies, or is gone\n"
	text := kit.ReadFile(t, source)
	if strings.Count(text, closes) != 1 {
		t.Fatalf("%s has no line %q, or several", source, closes)
	}
	text = strings.Replace(text, closes, "			leaked.Store(conn, true)\n", 1) + "\nvar leaked sync.Map\n"
	broken, overlay := filepath.Join(bin, "listen.go"), filepath.Join(bin, "overlay.json")
	err = errors.Join(os.WriteFile(broken, []byte(text), 0o600), os.WriteFile(overlay, fmt.Appendf(nil, `{"Replace": {%q: %q}}`, source, broken), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	kit.Run(t, "env", "CGO_ENABLED=0", "go", "build", "-overlay", overlay, "-o", filepath.Join(bin, "smap"), "../../../cmd/smap")
	wrong := (&soak{t: t, lasts: 25 * time.Second}).run(bin)
	if !slices.ContainsFunc(wrong, func(w string) bool { return strings.HasPrefix(w, "smap, undisturbed, child, descriptors: grows by ") }) {
		t.Errorf("a smap that leaks descriptors was not noticed: %q", wrong)
	}
}
