//go:build linux && !amd64

package jail

// machineCode is for amd64: others cannot call the kernel as 32-bit programs do.
func machineCode() func() { return nil }
