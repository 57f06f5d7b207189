// Package sysexits has the exit codes of sysexits(3): those that our programs end
// with, and those that the programs we start mean something by.
package sysexits

// The exit codes.
const (
	OK          = 0
	Usage       = 64  // the command line is wrong
	DataErr     = 65  // the input is wrong
	NoInput     = 66  // an input cannot be read
	NoUser      = 67  // an address has no such user
	NoHost      = 68  // an address has no such host
	Unavailable = 69  // something that is needed is missing
	Software    = 70  // a fault in the program
	OSErr       = 71  // a system call failed
	OSFile      = 72  // a file of the system is wrong
	CantCreat   = 73  // an output cannot be created
	IOErr       = 74  // reading or writing failed
	TempFail    = 75  // try again later
	Protocol    = 76  // the other side broke a protocol
	NoPerm      = 77  // permission denied
	Config      = 78  // the configuration is wrong
	HardError   = 100 // qmail's: never try again
)

// Name returns the name of a code in sysexits.h, empty for other codes.
func Name(code int) string {
	names := [...]string{"EX_USAGE", "EX_DATAERR", "EX_NOINPUT", "EX_NOUSER", "EX_NOHOST", "EX_UNAVAILABLE", "EX_SOFTWARE",
		"EX_OSERR", "EX_OSFILE", "EX_CANTCREAT", "EX_IOERR", "EX_TEMPFAIL", "EX_PROTOCOL", "EX_NOPERM", "EX_CONFIG"}
	if code < Usage || code > Config {
		return ""
	}
	return names[code-Usage]
}
