//go:build !cgo

package main

// builtWithCgo is false if the program was built without cgo, as make build does.
const builtWithCgo = false
