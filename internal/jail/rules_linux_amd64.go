package jail

import "golang.org/x/sys/unix"

const sysFstatat = unix.SYS_NEWFSTATAT

var killedArch = []uint32{unix.SYS_FORK, unix.SYS_VFORK}
