//go:build !amd64

package addrlist

// skip returns how many octets at the front of both texts hold no place where both
// octets are as in c and d, in whole blocks.
func skip(a, b []byte, c, d uint64) int { return skipWords(a, b, c, d) }
