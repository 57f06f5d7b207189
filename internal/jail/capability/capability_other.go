//go:build !linux

package capability

// EmptyBoundingSet has nothing to do: elsewhere root is not divided.
func EmptyBoundingSet() error { return nil }
