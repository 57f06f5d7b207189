//go:build !linux

package spoolfmt

func moveNoReplace(fromDir int, from string, toDir int, to string) error {
	return linkAndUnlink(fromDir, from, toDir, to)
}

// reserve sets room on the disk apart for the first size octets of a file.
func reserve(fd int, size int64) error { return fill(fd, size) }
