//go:build !cgo

package main

// builtWithCgo is false in what make build makes.
const builtWithCgo = false
