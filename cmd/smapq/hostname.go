package main

import (
	"os"
	"strings"

	"smap/spoolfmt/envelope"
)

// mailName is the file in which Debian and others keep the domain of local mail.
const mailName = "/etc/mailname"

// hostName is the domain of local addresses, of Message-ID and of Received: what
// /etc/mailname says, else this host's name.
func hostName() string { return domainOf(mailName, os.Hostname) }

func domainOf(file string, hostname func() (string, error)) string {
	if text, err := os.ReadFile(file); err == nil {
		line, _, _ := strings.Cut(string(text), "\n")
		if name := strings.TrimSpace(line); envelope.CheckAddress("x@"+name) == nil {
			return name
		}
	}
	if name, err := hostname(); err == nil && envelope.CheckAddress("x@"+name) == nil {
		return name
	}
	return "localhost"
}

// complete adds our domain to an address that lacks one.
func complete(address string) string {
	if strings.Contains(address, "@") || envelope.CheckAddress(address) != nil {
		return address
	}
	return address + "@" + hostName()
}
