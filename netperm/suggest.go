package netperm

// successor reports whether later releases of the Toolkit, its successors, or its
// proxies knew a clause that means nothing here. Such a clause is ignored with a
// warning, so that an old table loads.
func successor(name string) bool {
	switch name {
	case "authserver", "authenticate", "auth", "bind-address", "child-limit", "denial-msg", "denydest-msg",
		"welcome-msg", "help-msg", "prompt", "exit-msg", "extended-permissions", "force_source_address",
		"ourname", "port", "ports", "proxy", "security", "send-broken-post-requests", "server", "session-limit",
		"unknown", "xforwarder", "url-filter":
		return true // generic clauses of the proxies
	case "antispam", "badmail", "badrecip", "badsender", "badsmtp", "checkdomain", "checksender", "client-timeout",
		"errors-to", "forward", "gateway", "log-envelope", "mailhost", "maxhops", "maxload", "maxmsgs", "maxprocs",
		"maxsize", "norelay", "poll", "postmaster", "queue", "quarantine", "rbl", "relay", "relay-domains",
		"sequester", "spam", "spam-check", "spool", "trusted", "virus-scan":
		return true // mail clauses of successors
	case "log-permit", "log-deny", "permit-operation", "deny-operation", "permit-destination", "deny-destination",
		"permit-relay", "deny-relay", "permit-sender", "deny-sender", "permit-recipient", "deny-recipient",
		"permit-unknown", "deny-unknown", "permit-domain", "deny-domain":
		return true // permission rules of successors
	}
	return false
}

// nearest returns the known clause of a program whose name is closest to name.
func nearest(name, program string) string {
	best, least := "", 1<<30
	for i := range clauses {
		c := &clauses[i]
		if !c.reads(program) {
			continue
		}
		for _, deny := range []bool{false, true} {
			if d := distance(name, c.spelled(deny)); d < least {
				best, least = c.spelled(deny), d
			}
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b. It ignores what is behind the first maxLen octets.
func distance(a, b string) int {
	const maxLen = 40
	a, b = a[:min(len(a), maxLen)], b[:min(len(b), maxLen)]
	var rows [3][maxLen + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := 0; j <= len(b); j++ {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// misspelt returns the program that a keyword of some other program may have
// meant: one slip of the finger away, or written in capitals; "" if none.
func misspelt(key string) string {
	if len(key) < 3 || len(key) > 8 {
		return ""
	}
	var lower [8]byte
	for i := 0; i < len(key); i++ {
		lower[i] = toLower(key[i])
	}
	folded := string(lower[:len(key)])
	if folded == "smap" || folded == "smapd" {
		return folded
	}
	for _, p := range [...]string{"smap", "smapd"} {
		if key[0] == 's' && distance(folded, p) == 1 {
			return p
		}
	}
	return ""
}

func toLower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
