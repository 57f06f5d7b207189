//go:build !linux && !freebsd && !darwin

package spoolfmt

// nextData says that everything is data: this system does not tell.
func nextData(_ int, at, size int64) (data, hole int64, err error) { return at, size, nil }
