//go:build !linux && !openbsd && !freebsd

package jail

func parts() []part { return []part{{"limits", limits}} }

// limitValue is what limits are counted in.
type limitValue = uint64
