//go:build system && guests

package guests

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// kernels are those that the jail is tried on. Debian 11's has no Landlock.
var kernels = []debian{{"bullseye", "amd64"}, {"bookworm", "amd64"}, {"trixie", "amd64"}, {"bookworm", "arm64"}}

// TestKernels has smap's jail tried from inside on each kernel, smap say what its sandbox lacks there, and one message
// sent the whole way.
func TestKernels(t *testing.T) {
	t.Parallel()
	for _, d := range kernels {
		t.Run(d.suite+"-"+d.arch, func(t *testing.T) {
			g := &guest{name: "kernel-" + d.suite + "-" + d.arch, debian: d, limit: 15 * time.Minute, files: map[string]string{}}
			jail := strings.TrimSpace(kit.Run(t, "go", "list", "-f", "{{.ImportPath}}", "smap/internal/...confine"))
			jail = strings.TrimPrefix(jail, "smap/")
			g.files["src/"+jail+"/confine.test"] = g.build(t, filepath.Join(t.TempDir(), "confine.test"), "test", "-c", "./"+jail)
			g.files["src/SECURITY.md"] = kit.Tree("SECURITY.md")
			g.jobs = []string{
				"way / /bin/guest way",
				"sandbox / /bin/guest sandbox",
				"jail /src/" + jail + " ./confine.test -test.v",
			}
			r := g.run(t)
			for _, job := range []string{"way", "sandbox", "jail"} {
				if r.jobs[job] != "ok" {
					t.Errorf("%s: %q\n%s", job, r.jobs[job], kit.Tail(strings.Join(r.output[job], "\n"), 3000))
				}
			}
			tried := map[string]int{}
			for _, line := range r.output["jail"] {
				for _, verdict := range []string{"PASS", "SKIP", "FAIL"} {
					if strings.Contains(line, "--- "+verdict+": TestInside/") {
						tried[verdict]++
					}
				}
			}
			t.Logf("%s: %d attempts as SECURITY.md says, %d that this kernel cannot be asked, %d others", r.kernel, tried["PASS"], tried["SKIP"], tried["FAIL"])
			for _, line := range r.output["sandbox"] {
				t.Log(line)
			}
		})
	}
}
