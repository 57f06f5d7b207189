// Package receiver speaks SMTP (RFC 5321) with one client and writes what it
// accepts into a spool.
//
// It is the part of smap that strangers talk to. It opens no file but through
// the [Spool] it is given, starts no program and makes no connection. A session
// is one table of commands (commands.go), each with the phases in which it is
// allowed; every text that a client can read is in reply.go.
//
// The promise is in one place: a session says "250 Mail accepted" only after
// [Draft.Commit] returned nil.
package receiver
