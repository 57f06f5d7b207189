// Package systest holds the system tests, in folders by subject: real clients, inetds and mail servers around the real
// programs. They run as root on a Debian machine to throw away, since they install packages and make users:
//
//	make test-system
//
// Each server is started by the tests themselves with its own configuration and queue directories below a temporary
// directory, and ended with them.
package systest
