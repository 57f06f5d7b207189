//go:build linux && !amd64 && !arm64

package jail

import "smap/internal/jail/seccomp"

func rulesFor(*Needs, uint32) []seccomp.Rule { return nil }

func lookupRules(uint32) []seccomp.Rule { return nil }
