package sockets

import "golang.org/x/sys/unix"

// few is more than what the runtime and this process have open at the start.
const few = 100

// CloseOthers closes every descriptor from [First] on that some careless ancestor
// left open across exec. What we open ourselves, and the ones that were meant for
// us, are marked to close on exec; passed is how many those are. Call it before a
// stranger is heard.
func CloseOthers(passed int) {
	all := make([]unix.PollFd, passed+few)
	for i := range all {
		all[i].Fd = int32(First + i)
	}
	_, err := unix.Poll(all, 0) // one call tells which are open
	for i := range all {
		if err == nil && all[i].Revents&unix.POLLNVAL != 0 {
			continue
		}
		fd := First + i
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd) // it was open; nothing of ours was written there
		}
	}
	closeFrom(First + len(all))
}
