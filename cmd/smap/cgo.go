//go:build cgo

package main

// builtWithCgo is true if the program was built with cgo. Then C code can start
// threads, and Go cannot confine those.
const builtWithCgo = true
