// Package monitor makes the Go runtime's monitor thread cheap in a process that
// lives for a few milliseconds.
//
// That thread looks every 20 us whether it has to interrupt somebody. A process
// for one connection has one goroutine and nobody waits for it, but the
// looking is a twentieth of its CPU time, which sixteen of its kind at once want.
package monitor
