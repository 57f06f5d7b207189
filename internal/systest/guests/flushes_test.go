//go:build system && guests

package guests

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// A disk is a file system that smap and smapd work on while each of its writes and flushes is logged.
type disk struct {
	name, kind string
	title      string   // in PROOF.md
	mkfs       []string // the image follows
	size       []string // after the image
	parallel   int      // points looked at at the same time
	unsafe     bool     // it loses mail by itself: SPOOL-FORMAT.md says so, and the test wants no more than the figures
}

const fsMegabytes = 320 // XFS wants 300

var disks = []disk{
	{"ext4", "ext4", "ext4", []string{"mkfs.ext4", "-q", "-F"}, []string{"320M"}, 3, false},
	{"ext4-fast-commit", "ext4", "ext4 with fast_commit", []string{"mkfs.ext4", "-q", "-F", "-O", "fast_commit"}, []string{"320M"}, 3, true},
	{"xfs", "xfs", "XFS", []string{"mkfs.xfs", "-q", "-d", "size=320m"}, nil, 3, false},
	// After a cut, btrfs leaves both names of what was being moved, which smapd watches for a minute.
	{"btrfs", "btrfs", "btrfs", []string{"mkfs.btrfs", "-q", "-b", "320M"}, nil, 32, false},
	{"f2fs", "f2fs", "f2fs", []string{"mkfs.f2fs", "-q"}, []string{strconv.Itoa(fsMegabytes << 20 / 512)}, 3, false},
}

// marksMegabytes is the disk's end, where internal/tools/guest writes its marks.
const marksMegabytes = 16

// number reads one from the environment, else it is the other.
func number(t *testing.T, name string, other int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(other)))
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is no number", name, os.Getenv(name))
	}
	return n
}

// flushSite is where the disks, their clones and the logs are: a btrfs, where a clone shares the blocks.
func flushSite(t *testing.T) *kit.Site {
	t.Helper()
	s := kit.NewSite(t)
	image := s.Write(s.File("clones.img"), "", 0o600)
	if err := os.Truncate(image, 16<<30); err != nil {
		t.Fatal(err)
	}
	s.Mkdir(s.File("clones"), 0o755, 0, 0)
	kit.Run(t, "mkfs.btrfs", "-q", image)
	kit.Run(t, "mount", "-o", "loop,noatime", image, s.File("clones"))
	t.Cleanup(func() {
		if out, err := exec.Command("umount", s.File("clones")).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return s
}

// logged has smap and smapd at work on the disk in a guest, and returns the disk as it was before and the log.
func (d disk) logged(t *testing.T, s *kit.Site, messages int, options string) (base, log string) {
	t.Helper()
	name := d.name + strings.ReplaceAll(options, " ", "-")
	base, log = s.File("clones", name+".base"), s.File("clones", name+".log")
	work := s.File("clones", name+".disk")
	for _, image := range []string{base, log} {
		s.Write(image, "", 0o600)
	}
	if err := os.Truncate(base, (fsMegabytes+marksMegabytes)<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(log, 4<<30); err != nil {
		t.Fatal(err)
	}
	kit.Run(t, d.mkfs[0], append(append(d.mkfs[1:len(d.mkfs):len(d.mkfs)], base), d.size...)...)
	kit.Run(t, "cp", "--reflink=always", base, work)
	g := &guest{name: "flushes-" + name, debian: debian{"bookworm", "amd64"}, limit: 20 * time.Minute,
		modules: []string{"virtio_pci", "virtio_blk", "crc32c_generic", "crc32_generic", "xxhash_generic", "blake2b_generic", "sha256_generic", d.kind},
		jobs:    []string{fmt.Sprintf("load / /bin/guest load /dev/vda %s %d%s", d.kind, messages, options)},
		options: []string{
			"-blockdev", "driver=file,filename=" + work + ",node-name=disk,cache.direct=off",
			"-blockdev", "driver=file,filename=" + log + ",node-name=log,cache.direct=off",
			"-blockdev", "driver=blklogwrites,file=disk,log=log,node-name=logged,log-super-update-interval=64",
			"-device", "virtio-blk-pci,drive=logged,write-cache=on",
		}}
	r := g.run(t)
	if r.jobs["load"] != "ok" {
		t.Fatalf("load: %q\n%s", r.jobs["load"], kit.Tail(strings.Join(r.output["load"], "\n"), 3000))
	}
	t.Log(strings.Join(r.output["load"], "\n"))
	return base, log
}

// checked replays a log here, and returns what was found.
func (d disk) checked(t *testing.T, s *kit.Site, base, log string, points int, more ...string) map[string]int {
	t.Helper()
	work := s.File("clones", d.name+"-cuts")
	s.Mkdir(work, 0o755, 0, 0)
	program := s.File("guest")
	g := &guest{debian: debian{"bookworm", "amd64"}}
	g.build(t, program, "build", "./internal/tools/guest")
	args := append([]string{"-n", "19", program, "check", "-log", log, "-base", base, "-work", work, "-kind", d.kind, "-points", fmt.Sprint(points),
		"-parallel", fmt.Sprint(d.parallel), "-smapd", kit.Program(t, "smapd"), "-user", kit.SmapdUser}, more...)
	began := time.Now()
	out := kit.RunLong(t, 3*time.Hour, "nice", args...)
	keep(t, "checked-"+strings.TrimSuffix(filepath.Base(log), ".log")+strings.Join(more, ""), []byte(out))
	r := parse(out)
	t.Logf("%s, %.0f s", kit.Tail(strings.Join(r.output[""], "\n"), 3000), time.Since(began).Seconds())
	return figures(r.output[""])
}

// checkedInGuest is checked in a guest, for a file system that this machine's kernel does not have.
func (d disk) checkedInGuest(t *testing.T, s *kit.Site, base, log string, points int, _ ...string) map[string]int {
	t.Helper()
	kit.Run(t, "umount", s.File("clones"))
	defer kit.Run(t, "mount", "-o", "loop,noatime", s.File("clones.img"), s.File("clones"))
	inside := func(name string) string { return "/clones/" + filepath.Base(name) }
	g := &guest{name: "checked-" + d.name, debian: debian{"bookworm", "amd64"}, limit: 3 * time.Hour,
		modules: []string{"virtio_pci", "virtio_blk", "loop", "crc32c_generic", "crc32_generic", "xxhash_generic", "blake2b_generic", "sha256_generic", "btrfs", d.kind},
		jobs: []string{"check / /bin/guest check-on /dev/vda -log " + inside(log) + " -base " + inside(base) + " -work /clones -kind " + d.kind +
			fmt.Sprintf(" -points %d -parallel %d", points, d.parallel)},
		options: []string{"-drive", "file=" + s.File("clones.img") + ",format=raw,if=virtio,cache=unsafe"}}
	r := g.run(t)
	if r.jobs["check"] != "ok" {
		t.Errorf("check: %q", r.jobs["check"])
	}
	t.Logf("%s, %.0f s", kit.Tail(strings.Join(r.output["check"], "\n"), 3000), r.seconds)
	return figures(r.output["check"])
}

// figures are the numbers of the line that begins with "checked".
func figures(lines []string) map[string]int {
	found := map[string]int{}
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "checked "); ok {
			for _, word := range strings.Fields(rest) {
				name, value, _ := strings.Cut(word, "=")
				found[name], _ = strconv.Atoi(value) // what is no number is 0, which no check takes
			}
		}
	}
	return found
}

// TestFlushes: whenever the power fails, at every flush and between, with what the disk had not flushed there or not: no
// accepted message is lost or mixed up. POINTS is how many at least.
func TestFlushes(t *testing.T) {
	for _, d := range disks {
		t.Run(d.name, func(t *testing.T) {
			s := flushSite(t)
			points := number(t, "POINTS", 1000)
			base, log := d.logged(t, s, number(t, "MESSAGES", 300), "")
			check := d.checked
			if !hosts(d.kind) {
				check = d.checkedInGuest
			}
			found := check(t, s, base, log, points)
			if found["points"] < points || found["flushes"] == 0 || found["waiting"] == 0 {
				t.Errorf("too little was looked at: %v", found)
			}
			wrong := found["wrong"] + found["wrong-between"]
			if !d.unsafe && wrong+found["left"] > 0 {
				t.Errorf("wrong at %d flushes and %d points between; mail that nobody was told about is left at %d", found["wrong"],
					found["wrong-between"], found["left"])
			}
			if d.name == "ext4" {
				notices(t, d, s, base, log)
			}
			if !t.Failed() {
				result(t, "flushes-"+d.name, fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d |", d.title, found["writes"], found["flushes"],
					found["between"], found["waiting"], found["again"], wrong))
			}
		})
	}
}

// notices plants what the check is for: a smap whose syncs do nothing, and a disk that does not flush.
func notices(t *testing.T, d disk, s *kit.Site, base, log string) {
	t.Helper()
	found := d.checked(t, s, base, log, 40, "-dropped-flushes")
	if found["wrong-between"] < found["points"]/10 {
		t.Errorf("a disk that drops flushes was noticed at %d of %d points", found["wrong-between"], found["points"])
	}
	base, log = d.logged(t, s, 60, " no-sync")
	found = d.checked(t, s, base, log, 40)
	if wrong := found["wrong"] + found["wrong-between"]; wrong < found["points"]/10 {
		t.Errorf("a smap that does not sync was noticed at %d of %d points", wrong, found["points"])
	}
}

// hosts tells whether this machine's kernel has a file system.
func hosts(kind string) bool {
	b, err := os.ReadFile("/proc/filesystems")
	return err == nil && strings.Contains(string(b), "\t"+kind+"\n")
}
