package main

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"smap/internal/sysexits"
	"smap/netperm"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// exRepaired is check's own exit code: everything that was found is repaired.
const exRepaired = 1

// An exitError is an error that knows its exit code. Without err nothing is
// printed: that has happened already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the reason.
func (e *exitError) Unwrap() error { return e.err }

// failure gives an error its exit code.
func failure(code int, err error) error { return &exitError{code, err} }

// failf is failure for an error of ours.
func failf(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// unreadable is an error in reading a file of the configuration: the file's fault,
// unless the system could not read it.
func unreadable(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && errno != unix.ENOTDIR && errno != unix.ELOOP {
		return err
	}
	return failure(sysexits.Config, err)
}

// usagef is an error in the command line.
func usagef(format string, args ...any) error { return failf(sysexits.Usage, format, args...) }

// exitCode is what an error comes to.
func exitCode(err error) int {
	var known *exitError
	var table netperm.Errors
	var rule *netperm.Error
	var bad *spoolfmt.MalformedError
	var address *envelope.AddressError
	switch {
	case err == nil:
		return sysexits.OK
	case errors.As(err, &known):
		return known.code
	case errors.As(err, &table), errors.As(err, &rule):
		return sysexits.Config
	case errors.As(err, &bad), errors.As(err, &address):
		return sysexits.DataErr
	case errors.Is(err, spoolfmt.ErrGone), errors.Is(err, fs.ErrNotExist):
		return sysexits.NoInput
	case errors.Is(err, fs.ErrPermission):
		return sysexits.NoPerm
	case passing(err), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EMFILE):
		return sysexits.TempFail
	}
	return sysexits.OSErr
}

// passing reports whether an error of a claim may pass in a moment.
func passing(err error) bool {
	for _, e := range []error{spoolfmt.ErrBusy, spoolfmt.ErrBlocked, spoolfmt.ErrLinked, spoolfmt.ErrAlone} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
