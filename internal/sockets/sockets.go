// Package sockets opens listening sockets, and takes over those that inetd,
// systemd or a parent passed as descriptors.
//
// It uses system calls and not package net: the sockets cross exec, and what
// accepts from them works under a filter of system calls.
package sockets

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// First is where the descriptors begin that systemd or a parent passes.
const First = 3

// backlog is what the kernel holds of connections that wait for accept.
const backlog = 1024

// maxPassed bounds the number of sockets that systemd can pass.
const maxPassed = 1000

// ErrAddress is what [OpenAll] and [Listen] say of what cannot be an address.
var ErrAddress = errors.New("not an address and a port, such as 127.0.0.1:25, [::1]:25 or :25")

// OpenAll opens all addresses, or says which one cannot be. An address is
// 127.0.0.1:25, [::1]:25 or :25, which is all addresses of both families.
func OpenAll(addrs []string) ([]*os.File, error) {
	var all []*os.File
	for _, addr := range addrs {
		some, err := open(addr)
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("-listen %s: %w: another program has this port; on Linux ss -ltnp shows which", addr, err)
		}
		if err != nil {
			return nil, fmt.Errorf("-listen %s: %w", addr, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// open opens a socket for each family that an address means. One of both may be
// missing on this system.
func open(addr string) ([]*os.File, error) {
	port, both := strings.CutPrefix(addr, ":")
	if !both {
		f, err := Listen(addr)
		return []*os.File{f}, err
	}
	var sockets []*os.File
	var errs []error
	for _, any := range []string{"[::]:", "0.0.0.0:"} {
		switch f, err := Listen(any + port); {
		case err == nil:
			sockets = append(sockets, f)
		case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EADDRNOTAVAIL):
			errs = append(errs, err)
		default:
			return nil, err
		}
	}
	if len(sockets) == 0 {
		return nil, errors.Join(errs...)
	}
	return sockets, nil
}

// Listen opens a socket for one address, such as 127.0.0.1:25 or [::1]:25. One
// for IPv6 takes no IPv4.
func Listen(addr string) (*os.File, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil || at.Addr().Zone() != "" {
		return nil, ErrAddress
	}
	var sa unix.Sockaddr = &unix.SockaddrInet6{Addr: at.Addr().As16(), Port: int(at.Port())}
	family := unix.AF_INET6
	if at.Addr().Is4() {
		sa, family = &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}, unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	err = errors.Join(unix.SetNonblock(fd, true), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	if err == nil && family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), addr), nil
}

// Inherit takes over n descriptors, in the mode that deadlines need.
func Inherit(first, n int) []*os.File {
	var all []*os.File
	for fd := first; fd < first+n; fd++ {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true) // what cannot be so fails when it is used
		all = append(all, os.NewFile(uintptr(fd), "socket"))
	}
	return all
}

// Passed is how many descriptors systemd passed, by sd_listen_fds(3).
func Passed() int {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")) // 0 unless it is a number
	return max(0, min(n, maxPassed))
}

// Is tells whether a descriptor is a socket.
func Is(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}

// Remote tells whether a descriptor is a socket of a network, and not one of this
// machine alone: of the file system, or of a pair.
func Remote(fd int) bool {
	sa, _ := unix.Getsockname(fd) // of a kind that nobody knows: a network
	_, local := sa.(*unix.SockaddrUnix)
	return Is(fd) && !local
}

// Listening tells whether a descriptor is a socket that accepts connections.
func Listening(fd int) bool {
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && on != 0
}

// Address is one of a socket's addresses, IPv4-mapped ones as IPv4; invalid for
// a local socket.
func Address(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// Local is the address that a socket is bound to; for a connection, ours.
func Local(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return Address(sa)
}
