package spoolfmt

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// reopen opens an open file once more for reading, nil where there is no /proc.
func (s *Spool) reopen(open *os.File) (*os.File, error) {
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Open("/proc/self/fd/"+strconv.Itoa(int(open.Fd())), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, nil
	}
	return s.ifSame(fd, open)
}
