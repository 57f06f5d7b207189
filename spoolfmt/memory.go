package spoolfmt

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// maxMemory bounds the copies that are in memory because the disk is full, of all
// claims of a spool together.
const maxMemory = 64 << 20

// noRoom tells whether an error means that the disk is full.
func noRoom(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// copyContent checks the content, which another user owns, while it copies it: to
// a file in tmp or, when the disk is full, into memory. To deliver mail is what
// makes room, so that must not need any.
func (c *Claim) copyContent() error {
	var err error
	if c.copy, err = c.s.private(c.id); err == nil {
		if err = c.checkContent(c.copy); !noRoom(err) {
			return err
		}
		full := err
		if err = c.copy.Close(); err == nil {
			err = full
		}
		c.copy = nil
	}
	if noRoom(err) && c.intoMemory() {
		return c.checkContent(c.copy)
	}
	return fmt.Errorf("copy of %s: %w", c.path(KindContent), err)
}

// intoMemory makes the copy's file in memory, if enough of that is left.
func (c *Claim) intoMemory() bool {
	size := c.env.Size()
	if size > maxMemory { // a sum of several could pass the largest number
		return false
	}
	if c.s.memory.Add(size) > maxMemory {
		c.s.memory.Add(-size)
		return false
	}
	fd, err := memoryFile()
	if err != nil {
		c.s.memory.Add(-size)
		return false
	}
	c.copy, c.inMemory = os.NewFile(uintptr(fd), "copy in memory"), size
	return true
}

// closeCopy forgets the private copy.
func (c *Claim) closeCopy() error {
	if c.copy == nil {
		return nil
	}
	err := c.copy.Close()
	c.s.memory.Add(-c.inMemory)
	c.copy, c.inMemory = nil, 0
	return err
}
