// Package version knows which version a program is.
package version

import "runtime/debug"

// release is set by the linker: see .ci/version.
var release string

// String is the version that make gave the program; without make what the Go
// toolchain wrote into it, a tag or a commit; "unknown" without any.
func String() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
