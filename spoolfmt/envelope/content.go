package envelope

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
)

// ChecksumTable is the polynomial of the CRC32C field, Castagnoli's. Processors
// compute it almost as fast as they read memory.
func ChecksumTable() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// A ContentError says why a content does not fit its envelope, or is none.
type ContentError struct {
	Field  string // "Size", "CRC32C" or "SHA256"; empty when an octet is at fault
	Reason string // a verb first, as in "has 5 octets, Size says 12"
}

func (e *ContentError) Error() string { return "content " + e.Reason }

// A ContentCheck is a writer that checks a content against its envelope. Write
// returns a *[ContentError] at the first fault, End the faults that only the
// end shows.
type ContentCheck struct {
	e    *Envelope
	size int64
	crc  hash.Hash32
	sha  hash.Hash
}

// NewContentCheck returns a check for the envelope's content.
func (e *Envelope) NewContentCheck() *ContentCheck {
	c := &ContentCheck{e: e}
	if e.Get("CRC32C") != "" {
		c.crc = crc32.New(ChecksumTable())
	}
	if e.Get("SHA256") != "" {
		c.sha = sha256.New()
	}
	return c
}

// Write checks the next octets of the content.
func (c *ContentCheck) Write(p []byte) (int, error) {
	for _, bad := range []struct {
		octet byte
		name  string
	}{{'\r', "CR"}, {0, "NUL"}} {
		if i := bytes.IndexByte(p, bad.octet); i >= 0 {
			return i, &ContentError{"", fmt.Sprintf("holds %s at octet %d", bad.name, c.size+int64(i)+1)}
		}
	}
	c.size += int64(len(p))
	if c.size > c.e.size {
		return len(p), &ContentError{"Size", fmt.Sprintf("has more than the %d octets that Size says", c.e.size)}
	}
	if c.crc != nil {
		c.crc.Write(p)
	}
	if c.sha != nil {
		c.sha.Write(p)
	}
	return len(p), nil
}

// End checks what is known once the whole content was written.
func (c *ContentCheck) End() error {
	switch {
	case c.size != c.e.size:
		return &ContentError{"Size", fmt.Sprintf("has %d octets, Size says %d", c.size, c.e.size)}
	case c.crc != nil && hex.EncodeToString(c.crc.Sum(nil)) != c.e.Get("CRC32C"):
		return &ContentError{"CRC32C", "does not match CRC32C"}
	case c.sha != nil && hex.EncodeToString(c.sha.Sum(nil)) != c.e.Get("SHA256"):
		return &ContentError{"SHA256", "does not match SHA256"}
	}
	return nil
}
