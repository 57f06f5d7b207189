//go:build !linux && !openbsd

package jail

// Capsicum, too, has nothing for a process that connects to any address.
func lookupParts() []lookupPart {
	return []lookupPart{{"limits", func(n *LookupNeeds) error { return lookupLimits(n.MaxOpen) }}}
}
