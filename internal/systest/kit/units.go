//go:build system

package kit

import (
	"os/exec"
	"strings"
	"testing"
)

// Hardened is a command, below a root, with what the unit of smapd takes away: capabilities beyond its list, and write
// access to the system, and the umask. There is no systemd here to do it, so it is set by hand; its filter of system calls is not.
func Hardened(t *testing.T, root, name string, args ...string) *exec.Cmd {
	t.Helper()
	var keep []string
	for line := range strings.Lines(ReadFile(t, "../../../contrib/systemd/smapd.service")) {
		if caps, ok := strings.CutPrefix(strings.TrimSpace(line), "CapabilityBoundingSet="); ok {
			keep = append(keep, strings.Fields(caps)...)
		}
	}
	if len(keep) < 5 {
		t.Fatalf("capabilities %v", keep)
	}
	bounding := "-all"
	for _, name := range keep {
		bounding += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	const script = `umask 077; caps=$0 root=$1
for dir in "$root/usr" "$root/boot" "$root/etc"; do
	[ ! -d "$dir" ] || { mount --bind "$dir" "$dir" && mount -o remount,ro,bind "$dir"; } || exit 1
done
exec setpriv --bounding-set "$caps" chroot "$@"`
	return exec.Command("unshare", append([]string{"-m", "sh", "-c", script, bounding, root, name}, args...)...)
}
