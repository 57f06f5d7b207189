package netperm

import "slices"

// kind is the grammar of a clause's values.
type kind int

const (
	kindUser     kind = iota // name or number
	kindGroup                // name or number
	kindDir                  // absolute path of a directory
	kindFile                 // absolute path of a file that is read
	kindOutput               // absolute path of a file that is written
	kindProgram              // absolute path of a program
	kindCommand              // absolute path of a program, and arguments
	kindWords                // words that the program itself checks
	kindLines                // a name, and words that the program itself checks
	kindInt                  // a number from least to most
	kindSize                 // octets, from least to most; K, M, G multiply by 1024
	kindSeconds              // seconds, from least to most; s, m, h, d, w allowed
	kindSchedule             // seconds, one or more, each from least to most
	kindBool                 // yes or no; no value is yes
	kindChoice               // one of values
	kindSet                  // some of values
	kindHostname             // a host's name
	kindAddress              // a mail address, or none
	kindDomains              // domain names, or absolute paths of files that list them
	kindPatterns             // host patterns
	kindPermit               // permit- and deny- rules of host patterns
)

// An entry describes one clause.
type entry struct {
	id       Clause
	name     string
	programs []string // that read it
	kind     kind
	least    int64 // of numbers; octets and seconds are counted singly
	most     int64
	values   []string // of kindChoice and kindSet
	standard string   // the value without the clause, written as in a table; "" when there is none
	note     string   // what happens without the clause, where standard cannot say it
	usage    string   // how it is written
	list     bool     // all rules count, in order; otherwise the first one
}

// Limits that several clauses share.
const (
	maxSeconds = 366 * 24 * 3600
	maxOctets  = 1 << 60
	maxRecip   = 5000 // what the spool format allows in one envelope
)

// clauses is the only place that knows names, ranges and defaults. It is
// constant, in the order of the constants in names.go.
var clauses = []entry{
	{id: UserID, name: "userid", programs: []string{"smap", "smapd"}, kind: kindUser,
		note: "required when started as root", usage: "userid USER"},
	{id: GroupID, name: "groupid", programs: []string{"smap", "smapd"}, kind: kindGroup,
		note: "the group of userid", usage: "groupid GROUP"},
	{id: Directory, name: "directory", programs: []string{"smap", "smapd"}, kind: kindDir,
		note: "required", usage: "directory DIR"},
	{id: Log, name: "log", programs: []string{"smap", "smapd"}, kind: kindChoice, values: []string{"syslog", "stderr"},
		note: "syslog under inetd, else stderr", usage: "log syslog|stderr"},
	{id: LogRequired, name: "log-required", programs: []string{"smap"}, kind: kindBool,
		standard: "yes", usage: "log-required yes|no"},
	{id: Timeout, name: "timeout", programs: []string{"smap"}, kind: kindSeconds, least: 1, most: 86400,
		standard: "300", usage: "timeout N"},
	{id: MaxBytes, name: "maxbytes", programs: []string{"smap"}, kind: kindSize, least: 0, most: maxOctets,
		standard: "52428800", usage: "maxbytes N"},
	{id: MaxRecip, name: "maxrecip", programs: []string{"smap"}, kind: kindInt, least: 1, most: maxRecip,
		standard: "1000", usage: "maxrecip N"},
	{id: MaxErrors, name: "maxerrors", programs: []string{"smap"}, kind: kindInt, least: 1, most: 1000,
		standard: "10", usage: "maxerrors N"},
	{id: MinFree, name: "minfree", programs: []string{"smap"}, kind: kindSize, least: 0, most: maxOctets,
		standard: "64M", usage: "minfree N"},
	{id: MaxSessions, name: "maxsessions", programs: []string{"smap"}, kind: kindInt, least: 1, most: 100000,
		standard: "500", usage: "maxsessions N"},
	{id: MaxPerClient, name: "maxperclient", programs: []string{"smap"}, kind: kindInt, least: 1, most: 100000,
		standard: "50", usage: "maxperclient N"},
	{id: SessionsFile, name: "sessions-file", programs: []string{"smap"}, kind: kindOutput,
		standard: "/var/run/smap.sessions", usage: "sessions-file FILE"},
	{id: Hostname, name: "hostname", programs: []string{"smap", "smapd"}, kind: kindHostname,
		note: "the name of this host", usage: "hostname NAME"},
	{id: Offer, name: "offer", programs: []string{"smap"}, kind: kindSet, values: []string{"dsn", "smtputf8"}, list: true,
		note: "none", usage: "offer EXTENSION..."},
	{id: ProxyHosts, name: "proxy-hosts", programs: []string{"smap"}, kind: kindPatterns, list: true,
		note: "none", usage: "proxy-hosts PATTERN..."},
	{id: LenientHosts, name: "lenient-hosts", programs: []string{"smap"}, kind: kindPatterns, list: true,
		note: "none", usage: "lenient-hosts PATTERN..."},
	{id: MinRate, name: "min-rate", programs: []string{"smap"}, kind: kindInt, least: 0, most: 1 << 30,
		standard: "100", usage: "min-rate N"},
	{id: GreetDelay, name: "greet-delay", programs: []string{"smap"}, kind: kindSeconds, least: 0, most: 60,
		standard: "0", usage: "greet-delay N"},
	{id: IdleExit, name: "idle-exit", programs: []string{"smap"}, kind: kindSeconds, least: 1, most: maxSeconds,
		standard: "120", usage: "idle-exit N"},
	{id: hosts, name: "hosts", programs: []string{"smap"}, kind: kindPermit, list: true,
		note: "all hosts are permitted", usage: "permit-hosts PATTERN... | deny-hosts PATTERN..."},
	{id: LocalDomains, name: "local-domains", programs: []string{"smap"}, kind: kindDomains, list: true,
		note: "the hostname", usage: "local-domains NAME|FILE..."},
	{id: RelayHosts, name: "relay-hosts", programs: []string{"smap"}, kind: kindPatterns, list: true,
		note: "none", usage: "relay-hosts PATTERN..."},
	{id: Recipients, name: "recipients", programs: []string{"smap"}, kind: kindFile,
		note: "all local parts are accepted", usage: "recipients FILE"},
	{id: TLSCert, name: "tls-cert", programs: []string{"smap"}, kind: kindFile,
		note: "no STARTTLS", usage: "tls-cert FILE"},
	{id: TLSKey, name: "tls-key", programs: []string{"smap"}, kind: kindFile,
		note: "no STARTTLS", usage: "tls-key FILE"},
	{id: TLSRequired, name: "tls-required", programs: []string{"smap"}, kind: kindBool,
		standard: "no", usage: "tls-required [yes|no]"},
	{id: Names, name: "names", programs: []string{"smap"}, kind: kindBool,
		standard: "no", usage: "names yes|no"},
	{id: Ident, name: "ident", programs: []string{"smap"}, kind: kindBool,
		standard: "no", usage: "ident yes|no"},
	{id: LookupUserID, name: "lookup-userid", programs: []string{"smap"}, kind: kindUser,
		standard: "nobody", usage: "lookup-userid USER"},
	{id: Sandbox, name: "sandbox", programs: []string{"smap"}, kind: kindChoice, values: []string{"strict", "best", "off"},
		standard: "best", usage: "sandbox strict|best|off"},
	{id: SmapMetrics, name: "smap-metrics", programs: []string{"smap"}, kind: kindOutput,
		note: "none", usage: "smap-metrics FILE"},
	{id: Executable, name: "executable", programs: []string{"smapd"}, kind: kindProgram,
		note: "the running program", usage: "executable PROGRAM"},
	{id: Sendmail, name: "sendmail", programs: []string{"smapd"}, kind: kindCommand,
		note: "/usr/lib/sendmail, else /usr/sbin/sendmail", usage: "sendmail PROGRAM [ARG...]"},
	{id: Agent, name: "agent", programs: []string{"smapd"}, kind: kindWords,
		note: "sendmail", usage: "agent KIND [ARG...]"},
	{id: Lane, name: "lane", programs: []string{"smapd"}, kind: kindLines, list: true,
		note: "none", usage: "lane NAME KIND [ARG...]"},
	{id: LaneLimits, name: "lane-limits", programs: []string{"smapd"}, kind: kindLines, list: true,
		note: "maxchildren and batch", usage: "lane-limits NAME maxchildren|batch N..."},
	{id: Route, name: "route", programs: []string{"smapd"}, kind: kindLines, list: true,
		note: "all mail takes agent", usage: "route NAME PATTERN..."},
	{id: BadDir, name: "baddir", programs: []string{"smapd"}, kind: kindDir,
		note: "bad in the spool", usage: "baddir DIR"},
	{id: BadAdmin, name: "badadmin", programs: []string{"smapd"}, kind: kindAddress,
		standard: "postmaster", usage: "badadmin ADDRESS|none"},
	{id: Wakeup, name: "wakeup", programs: []string{"smapd"}, kind: kindSeconds, least: 1, most: 86400,
		standard: "60", usage: "wakeup N"},
	{id: MaxChildren, name: "maxchildren", programs: []string{"smapd"}, kind: kindInt, least: 0, most: 1000,
		standard: "8", usage: "maxchildren N"},
	{id: Batch, name: "batch", programs: []string{"smapd"}, kind: kindInt, least: 1, most: maxRecip,
		standard: "100", usage: "batch N"},
	{id: AgentTimeout, name: "agent-timeout", programs: []string{"smapd"}, kind: kindSeconds, least: 1, most: 86400,
		standard: "600", usage: "agent-timeout N"},
	{id: Retry, name: "retry", programs: []string{"smapd"}, kind: kindSchedule, least: 1, most: maxSeconds,
		note: "growing from 60 s to 4 h", usage: "retry N..."},
	{id: MaxAge, name: "maxage", programs: []string{"smapd"}, kind: kindSeconds, least: 1, most: maxSeconds,
		standard: "5d", usage: "maxage N"},
	{id: Bounce, name: "bounce", programs: []string{"smapd"}, kind: kindBool,
		standard: "no", usage: "bounce yes|no"},
	{id: BounceAgent, name: "bounce-agent", programs: []string{"smapd"}, kind: kindWords,
		note: "the agent, if it delivers to any address", usage: "bounce-agent KIND [ARG...]"},
	{id: Metrics, name: "metrics", programs: []string{"smapd"}, kind: kindOutput,
		note: "none", usage: "metrics FILE"},
}

// clauseIndex is the place of a clause in clauses, -1 for an unknown name.
func clauseIndex(name string) int {
	for i := range clauses {
		if clauses[i].name == name {
			return i
		}
	}
	return -1
}

// reads reports whether a program reads the clause.
func (c *entry) reads(program string) bool { return slices.Contains(c.programs, program) }

// spelled is the clause's name as a user writes it.
func (c *entry) spelled(deny bool) string {
	switch {
	case c.kind != kindPermit:
		return c.name
	case deny:
		return "deny-" + c.name
	}
	return "permit-" + c.name
}
