// Package kit is what the system tests share: sites with a spool and a table, accounts, processes, clients, agents that
// write down what they get, and systems of Debian packages to chroot into.
package kit
