//go:build !linux

package monitor

// Quiet has nothing to do: there is no such setting.
func Quiet() {}
