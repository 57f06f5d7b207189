package addrlist

// skipBlocks returns how many of the blocks of 64 octets at a and b come before the
// first one with a place where both octets are as in c and d, as [differ] has it.
//
//go:noescape
func skipBlocks(a, b *byte, blocks int, c, d uint64) int

// skip returns how many octets at the front of both texts hold no such place.
func skip(a, b []byte, c, d uint64) int {
	blocks := min(len(a), len(b)) / block
	if blocks == 0 {
		return 0
	}
	return block * skipBlocks(&a[0], &b[0], blocks, c, d)
}
