// Package interop tests the programs of others on both sides: clients, inetds, mail servers, Python.
package interop
