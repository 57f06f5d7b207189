package jail

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// machineCode returns a function that makes the 32-bit system call getpid, in the
// way that 64-bit programs can. It has to be made before memory cannot be
// executed any more.
func machineCode() func() {
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil
	}
	copy(page, []byte{
		0xb8, 20, 0, 0, 0, // mov $20, %eax
		0xcd, 0x80, // int $0x80
		0xc3, // ret
	})
	code := &page[0]
	value := unsafe.Pointer(&code) // a function value points to a word that points to code
	return *(*func())(unsafe.Pointer(&value))
}
