package jail

import (
	"errors"

	"golang.org/x/sys/unix"
)

func lookupParts() []lookupPart {
	return []lookupPart{
		{"limits", func(n *LookupNeeds) error { return lookupLimits(n.MaxOpen) }},
		{"unveil", func(n *LookupNeeds) error {
			var err error
			for _, dir := range n.Dirs {
				err = errors.Join(err, unix.Unveil(dir, "r"))
			}
			return errors.Join(err, unix.UnveilBlock())
		}},
		{"pledge", func(*LookupNeeds) error { return unix.Pledge("stdio rpath inet", "") }},
	}
}
