// Package version tells which version a program was built from.
package version

import "runtime/debug"

// String is what the Go toolchain wrote into the program: a tag, or the commit
// that it was built from; "unknown" without either.
func String() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
