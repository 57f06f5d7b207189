//go:build system && guests

package guests

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// foreign are machines of another size or order of octets, each with what runs its programs. Linux for amd64 runs those of
// i386 itself; QEMU 7.2's emulator of them breaks Go's threads.
var foreign = map[string][]string{"386": nil, "s390x": {"qemu-s390x-static"}}

// TestForeign runs the unit tests of the format and of the receiver as programs of a 32-bit machine and of a big-endian
// one. The kernel is ours, and so is what it cannot do: a test that starts Go or looks at processors is none of these.
func TestForeign(t *testing.T) {
	for arch, emulator := range foreign {
		for _, p := range []string{"spoolfmt/envelope", "spoolfmt", "receiver"} {
			t.Run(arch+"/"+p, func(t *testing.T) {
				binary := filepath.Join(t.TempDir(), "unit.test")
				build := exec.Command("go", "test", "-c", "-o", binary, "./"+p)
				build.Dir = kit.Tree()
				build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, "nice", append(append([]string{"-n", "19"}, emulator...), binary, "-test.short", "-test.v")...)
				cmd.Dir = kit.Tree(p)
				out, err := cmd.CombinedOutput()
				keep(t, "unit-"+arch+"-"+strings.ReplaceAll(p, "/", "-"), out)
				text := string(out)
				t.Logf("%d tests passed, %d skipped", strings.Count(text, "\n--- PASS: "), strings.Count(text, "\n--- SKIP: "))
				if err != nil || !strings.HasSuffix(text, "PASS\n") {
					t.Errorf("%v\n%s", err, kit.Tail(text, 6000))
				}
			})
		}
	}
}
