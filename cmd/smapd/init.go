package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"smap/internal/sysexits"
)

// first is smapd as process 1, as in a container: it starts itself once more, passes
// signals on, and waits for whatever is left behind by agents, which nobody else would
// wait for. It ends as the other one does.
func first(args []string, stderr io.Writer) int {
	exe, err := os.Executable()
	if err == nil {
		var p *os.Process
		signals := make(chan os.Signal, 8)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
		p, err = os.StartProcess(exe, append([]string{"smapd"}, args...), &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
		if err == nil {
			go func() {
				for s := range signals {
					_ = p.Signal(s) // one that is gone needs none
				}
			}()
			return reap(p.Pid)
		}
	}
	fmt.Fprintln(stderr, "smapd:", err)
	return sysexits.OSErr
}

// reap waits for children, its own and orphans, until that one has ended, and returns
// its exit code.
func reap(pid int) int {
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return sysexits.OSErr
		case got == pid && ws.Exited():
			return ws.ExitStatus()
		case got == pid:
			return 128 + int(ws.Signal())
		}
	}
}
