//go:build system && guests

package guests

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// kernels are those that the jail is tried on. Debian 11's has no Landlock.
var kernels = []debian{{"bullseye", "amd64"}, {"bookworm", "amd64"}, {"trixie", "amd64"}, {"bookworm", "arm64"}}

// jail is the package whose test tries from inside.
const jail = "internal/jail"

// TestKernels has smap's jail tried from inside on each kernel, smap say what its sandbox lacks there, and one message
// sent the whole way.
func TestKernels(t *testing.T) {
	var rows []string
	for _, d := range kernels {
		t.Run(d.suite+"-"+d.arch, func(t *testing.T) {
			g := &guest{name: "kernel-" + d.suite + "-" + d.arch, debian: d, limit: 15 * time.Minute, files: map[string]string{}}
			g.files["src/"+jail+"/jail.test"] = g.build(t, filepath.Join(t.TempDir(), "jail.test"), "test", "-c", "./"+jail)
			g.files["src/SECURITY.md"] = kit.Tree("SECURITY.md")
			g.jobs = []string{
				"way / /bin/guest way",
				"sandbox / /bin/guest sandbox",
				"jail /src/" + jail + " ./jail.test -test.v",
			}
			r := g.run(t)
			for _, job := range []string{"way", "sandbox", "jail"} {
				if r.jobs[job] != "ok" {
					t.Errorf("%s: %q\n%s", job, r.jobs[job], kit.Tail(strings.Join(r.output[job], "\n"), 3000))
				}
			}
			row := kernelRow(d, r)
			t.Log(row)
			if !strings.Contains(row, " 0 differ ") {
				t.Error("attempts differ from SECURITY.md's table")
			}
			rows = append(rows, row)
		})
	}
	if !t.Failed() && len(rows) == len(kernels) {
		result(t, "kernels", rows...)
	}
}

// releases are Debian's names of what a table calls by number.
var releases = map[string]string{"bullseye": "11", "bookworm": "12", "trixie": "13"}

// kernelRow is what SECURITY.md's table says of a kernel.
func kernelRow(d debian, r *record) string {
	tried := map[string]int{}
	for _, line := range r.output["jail"] {
		for _, verdict := range []string{"PASS", "SKIP", "FAIL"} {
			if strings.Contains(line, "--- "+verdict+": TestInside/") {
				tried[verdict]++
			}
		}
	}
	lacks, strict := "nothing", "starts"
	for _, line := range r.output["sandbox"] {
		if strings.HasPrefix(line, "sandbox best") && strings.Contains(line, "missing=") {
			_, rest, _ := strings.Cut(line, `missing="`)
			lacks, _, _ = strings.Cut(rest, ":")
		}
		if strings.HasPrefix(line, "sandbox strict") && !strings.Contains(line, "active=") {
			strict = "refuses"
		}
	}
	kernel, _, _ := strings.Cut(r.kernel, " ")
	return fmt.Sprintf("| %s | Debian %s, %s | %d as above, %d not possible to ask, %d differ | %s | %s | %s |", kernel, releases[d.suite], d.arch,
		tried["PASS"], tried["SKIP"], tried["FAIL"], lacks, strict, map[bool]string{true: "delivered", false: "not delivered"}[r.jobs["way"] == "ok"])
}
