//go:build system && guests

package guests

import (
	"os"
	"testing"

	"smap/internal/systest/kit"
)

func TestMain(m *testing.M) {
	os.Exit(kit.Beside(m, "qemu-system-x86_64=qemu-system-x86", "qemu-system-aarch64=qemu-system-arm", "qemu-s390x-static=qemu-user-static",
		"mkfs.ext4=e2fsprogs", "mkfs.xfs=xfsprogs", "mkfs.btrfs=btrfs-progs", "mkfs.f2fs=f2fs-tools", "mount", "dpkg-deb=dpkg", "xz=xz-utils",
		"useradd=passwd"))
}
