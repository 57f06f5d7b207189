// Package capability gives up what root is divided into: capabilities(7) of
// Linux. All of it holds for all threads, which is not possible in a program that
// was built with cgo.
package capability
