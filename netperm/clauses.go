package netperm

import "slices"

// Kind is the type of a clause's values, and with it the accessor that fits.
type Kind int

// The kinds of clauses.
const (
	KindUser     Kind = iota // name or number: String, Identity
	KindGroup                // name or number: String, Identity
	KindDir                  // absolute path of a directory: String
	KindFile                 // absolute path of a file that is read: String
	KindOutput               // absolute path of a file that is written: String
	KindProgram              // absolute path of a program: String
	KindCommand              // absolute path of a program, and arguments: Words
	KindAgent                // an agent's kind, and what that kind takes: Words
	KindInt                  // a number from Min to Max: Int
	KindSize                 // octets, from Min to Max; K, M, G multiply by 1024: Int
	KindSeconds              // seconds, from Min to Max; s, m, h, d, w allowed: Duration
	KindSchedule             // seconds, one or more, each from Min to Max: Durations
	KindBool                 // yes or no; no value is yes: Bool
	KindChoice               // one of Values: String
	KindSet                  // some of Values: Words
	KindHostname             // a host's name: String
	KindAddress              // a mail address, or none: String
	KindDomains              // domain names, or absolute paths of files that list them: Words
	KindPatterns             // host patterns: Match, Patterns
	KindPermit               // permit- and deny- rules of host patterns: Permit
)

// A Clause describes one clause that this package knows.
type Clause struct {
	Name     string
	Programs []string // the programs that read it
	Kind     Kind
	Min, Max int64    // of numbers; octets and seconds are counted singly
	Values   []string // of KindChoice and KindSet
	Default  string   // as it would stand in a table; "" when there is none
	Note     string   // what happens without the clause, where Default cannot say it
	Usage    string   // how it is written
	Meaning  string   // one line
	List     bool     // all rules count, in order; otherwise the first one
}

// Clauses returns the description of every clause, in the order in which a
// manual would list them.
func Clauses() []Clause { return slices.Clone(clauses) }

// Limits that several clauses share.
const (
	maxSeconds = 366 * 24 * 3600
	maxOctets  = 1 << 60
	maxRecip   = 5000 // what the spool format allows in one envelope
)

// clauses is the only place that knows names, ranges and defaults. It is
// constant; it stands in the program's data and costs nothing at start.
var clauses = []Clause{
	{Name: "userid", Programs: []string{"smap", "smapd"}, Kind: KindUser,
		Note: "required when started as root", Usage: "userid USER",
		Meaning: "the user, by name or number, that the program becomes"},
	{Name: "groupid", Programs: []string{"smap", "smapd"}, Kind: KindGroup,
		Note: "the group of userid", Usage: "groupid GROUP",
		Meaning: "the group, by name or number, that the program becomes"},
	{Name: "directory", Programs: []string{"smap", "smapd"}, Kind: KindDir,
		Note: "required", Usage: "directory DIR",
		Meaning: "the spool; smap's root directory when started as root"},
	{Name: "log", Programs: []string{"smap", "smapd"}, Kind: KindChoice, Values: []string{"syslog", "stderr"},
		Note: "syslog under inetd, else stderr", Usage: "log syslog|stderr",
		Meaning: "where the log goes"},
	{Name: "timeout", Programs: []string{"smap"}, Kind: KindSeconds, Min: 1, Max: 86400,
		Default: "300", Usage: "timeout N",
		Meaning: "seconds without input before the session ends"},
	{Name: "maxbytes", Programs: []string{"smap"}, Kind: KindSize, Min: 0, Max: maxOctets,
		Default: "52428800", Usage: "maxbytes N",
		Meaning: "octets of content, announced as SIZE; 0 is unlimited"},
	{Name: "maxrecip", Programs: []string{"smap"}, Kind: KindInt, Min: 1, Max: maxRecip,
		Default: "1000", Usage: "maxrecip N",
		Meaning: "recipients of one message"},
	{Name: "maxerrors", Programs: []string{"smap"}, Kind: KindInt, Min: 1, Max: 1000,
		Default: "10", Usage: "maxerrors N",
		Meaning: "bad commands before the session is ended with 421"},
	{Name: "minfree", Programs: []string{"smap"}, Kind: KindSize, Min: 0, Max: maxOctets,
		Default: "64M", Usage: "minfree N",
		Meaning: "octets that must stay free on the spool's file system; below, 452"},
	{Name: "maxsessions", Programs: []string{"smap"}, Kind: KindInt, Min: 1, Max: 100000,
		Default: "500", Usage: "maxsessions N",
		Meaning: "concurrent sessions of one serving process"},
	{Name: "maxperclient", Programs: []string{"smap"}, Kind: KindInt, Min: 1, Max: 100000,
		Default: "50", Usage: "maxperclient N",
		Meaning: "concurrent sessions of one client address (an IPv6 /64 is one)"},
	{Name: "hostname", Programs: []string{"smap", "smapd"}, Kind: KindHostname,
		Note: "what gethostname(3) says", Usage: "hostname NAME",
		Meaning: "our name in greetings, in Received lines and in reports"},
	{Name: "offer", Programs: []string{"smap"}, Kind: KindSet, Values: []string{"dsn", "smtputf8"}, List: true,
		Note: "none", Usage: "offer EXTENSION...",
		Meaning: "extensions to announce because what drains the spool honours them"},
	{Name: "proxy-hosts", Programs: []string{"smap"}, Kind: KindPatterns, List: true,
		Note: "none", Usage: "proxy-hosts PATTERN...",
		Meaning: "load balancers whose PROXY header is believed; addresses only"},
	{Name: "min-rate", Programs: []string{"smap"}, Kind: KindInt, Min: 0, Max: 1 << 30,
		Default: "100", Usage: "min-rate N",
		Meaning: "octets per second below which a sender in DATA is dropped; 0 is no limit"},
	{Name: "idle-exit", Programs: []string{"smap"}, Kind: KindSeconds, Min: 1, Max: maxSeconds,
		Default: "120", Usage: "idle-exit N",
		Meaning: "seconds without a session before a server on inetd's wait socket leaves"},
	{Name: "hosts", Programs: []string{"smap"}, Kind: KindPermit, List: true,
		Note: "everybody may", Usage: "permit-hosts PATTERN... | deny-hosts PATTERN...",
		Meaning: "who may talk to smap at all; the first rule that matches decides"},
	{Name: "local-domains", Programs: []string{"smap"}, Kind: KindDomains, List: true,
		Note: "the hostname", Usage: "local-domains NAME|FILE...",
		Meaning: "domains whose recipients are accepted from anyone; .name includes subdomains"},
	{Name: "relay-hosts", Programs: []string{"smap"}, Kind: KindPatterns, List: true,
		Note: "none", Usage: "relay-hosts PATTERN...",
		Meaning: "clients that may send to any domain"},
	{Name: "recipients", Programs: []string{"smap"}, Kind: KindFile,
		Note: "all local parts are accepted", Usage: "recipients FILE",
		Meaning: "the known addresses; all others are refused"},
	{Name: "tls-cert", Programs: []string{"smap"}, Kind: KindFile,
		Note: "no STARTTLS", Usage: "tls-cert FILE",
		Meaning: "certificate chain for STARTTLS, PEM"},
	{Name: "tls-key", Programs: []string{"smap"}, Kind: KindFile,
		Note: "no STARTTLS", Usage: "tls-key FILE",
		Meaning: "private key for STARTTLS, PEM"},
	{Name: "tls-required", Programs: []string{"smap"}, Kind: KindBool,
		Default: "no", Usage: "tls-required [yes|no]",
		Meaning: "refuse mail before STARTTLS"},
	{Name: "names", Programs: []string{"smap"}, Kind: KindBool,
		Default: "no", Usage: "names yes|no",
		Meaning: "look up and verify the client's name"},
	{Name: "ident", Programs: []string{"smap"}, Kind: KindBool,
		Default: "no", Usage: "ident yes|no",
		Meaning: "ask the client's ident server (RFC 1413)"},
	{Name: "sandbox", Programs: []string{"smap"}, Kind: KindChoice, Values: []string{"strict", "best", "off"},
		Default: "best", Usage: "sandbox strict|best|off",
		Meaning: "strict refuses to run without the whole sandbox"},
	{Name: "executable", Programs: []string{"smapd"}, Kind: KindProgram,
		Note: "the running program", Usage: "executable PROGRAM",
		Meaning: "what the privileged parent starts as userid"},
	{Name: "sendmail", Programs: []string{"smapd"}, Kind: KindCommand,
		Note: "/usr/lib/sendmail, else /usr/sbin/sendmail", Usage: "sendmail PROGRAM [ARG...]",
		Meaning: "the sendmail-compatible agent"},
	{Name: "agent", Programs: []string{"smapd"}, Kind: KindAgent, Values: []string{"sendmail", "exec", "lmtp", "smtp", "maildir"},
		Note: "sendmail", Usage: "agent KIND [ARG...]",
		Meaning: "what finally takes the mail"},
	{Name: "baddir", Programs: []string{"smapd"}, Kind: KindDir,
		Note: "bad in the spool", Usage: "baddir DIR",
		Meaning: "where undeliverable mail is set aside; on the spool's file system"},
	{Name: "badadmin", Programs: []string{"smapd"}, Kind: KindAddress,
		Default: "postmaster", Usage: "badadmin ADDRESS|none",
		Meaning: "who gets a digest of what was set aside"},
	{Name: "wakeup", Programs: []string{"smapd"}, Kind: KindSeconds, Min: 1, Max: 86400,
		Default: "60", Usage: "wakeup N",
		Meaning: "seconds between rescans of the spool"},
	{Name: "maxchildren", Programs: []string{"smapd"}, Kind: KindInt, Min: 1, Max: 1000,
		Default: "6", Usage: "maxchildren N",
		Meaning: "concurrent deliveries"},
	{Name: "batch", Programs: []string{"smapd"}, Kind: KindInt, Min: 1, Max: maxRecip,
		Default: "100", Usage: "batch N",
		Meaning: "recipients of one call of the agent"},
	{Name: "agent-timeout", Programs: []string{"smapd"}, Kind: KindSeconds, Min: 1, Max: 86400,
		Default: "600", Usage: "agent-timeout N",
		Meaning: "seconds before a hung agent is killed"},
	{Name: "retry", Programs: []string{"smapd"}, Kind: KindSchedule, Min: 1, Max: maxSeconds,
		Note: "growing from 60 s to 4 h", Usage: "retry N...",
		Meaning: "seconds to wait after each failed attempt; the last one repeats"},
	{Name: "maxage", Programs: []string{"smapd"}, Kind: KindSeconds, Min: 1, Max: maxSeconds,
		Default: "5d", Usage: "maxage N",
		Meaning: "seconds after which undelivered mail is set aside"},
	{Name: "bounce", Programs: []string{"smapd"}, Kind: KindBool,
		Default: "no", Usage: "bounce yes|no",
		Meaning: "send failure reports (RFC 3464) to the sender"},
	{Name: "bounce-agent", Programs: []string{"smapd"}, Kind: KindAgent, Values: []string{"sendmail", "exec", "lmtp", "smtp", "maildir"},
		Note: "the agent, if it can deliver to anywhere", Usage: "bounce-agent KIND [ARG...]",
		Meaning: "the agent that failure reports go to"},
	{Name: "metrics", Programs: []string{"smapd"}, Kind: KindOutput,
		Note: "none", Usage: "metrics FILE",
		Meaning: "file for Prometheus' textfile collector, replaced atomically"},
}

// clauseIndex is the place of a clause in clauses, -1 for an unknown name.
func clauseIndex(name string) int {
	for i := range clauses {
		if clauses[i].Name == name {
			return i
		}
	}
	return -1
}

// reads reports whether a program reads the clause.
func (c *Clause) reads(program string) bool { return slices.Contains(c.Programs, program) }

// spelled is the clause's name as a user writes it.
func (c *Clause) spelled(deny bool) string {
	switch {
	case c.Kind != KindPermit:
		return c.Name
	case deny:
		return "deny-" + c.Name
	}
	return "permit-" + c.Name
}
