//go:build cgo

package main

// builtWithCgo is true where this program may be linked with C, whose threads
// Go cannot confine.
const builtWithCgo = true
