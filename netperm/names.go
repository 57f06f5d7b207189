package netperm

// A Clause is the name of a clause. The constants below are all that exist.
// Their types name the accessor of [Table] that reads them, so that neither a
// misspelt name nor the wrong accessor compiles.
type Clause interface {
	String() string // as in a table
	index() int     // in clauses
}

// The types of clauses, by the accessor that reads them.
type (
	StringClause    uint8 // read by [Table.String]
	WordsClause     uint8 // read by [Table.Words]
	IntClause       uint8 // read by [Table.Int]
	DurationClause  uint8 // read by [Table.Duration]
	DurationsClause uint8 // read by [Table.Durations]
	BoolClause      uint8 // read by [Table.Bool]
	PatternsClause  uint8 // read by [Table.Match]
	DomainsClause   uint8 // read by [Table.Domains]
	LinesClause     uint8 // read by [Table.Lines]

	permitClause uint8 // read by [Table.Permit]
)

// The clauses, in the order in which netperm-table(5) explains them.
const (
	UserID       StringClause    = iota
	GroupID      StringClause    = iota
	Directory    StringClause    = iota
	Log          StringClause    = iota
	LogRequired  BoolClause      = iota
	Timeout      DurationClause  = iota
	MaxBytes     IntClause       = iota
	MaxRecip     IntClause       = iota
	MaxErrors    IntClause       = iota
	MinFree      IntClause       = iota
	MaxSessions  IntClause       = iota
	MaxPerClient IntClause       = iota
	SessionsFile StringClause    = iota
	Hostname     StringClause    = iota
	Offer        WordsClause     = iota
	ProxyHosts   PatternsClause  = iota
	LenientHosts PatternsClause  = iota
	MinRate      IntClause       = iota
	GreetDelay   DurationClause  = iota
	IdleExit     DurationClause  = iota
	hosts        permitClause    = iota
	LocalDomains DomainsClause   = iota
	RelayHosts   PatternsClause  = iota
	Recipients   StringClause    = iota
	TLSCert      StringClause    = iota
	TLSKey       StringClause    = iota
	TLSRequired  BoolClause      = iota
	Names        BoolClause      = iota
	Ident        BoolClause      = iota
	LookupUserID StringClause    = iota
	Sandbox      StringClause    = iota
	SmapMetrics  StringClause    = iota
	Executable   StringClause    = iota
	Sendmail     WordsClause     = iota
	Agent        WordsClause     = iota
	Lane         LinesClause     = iota
	LaneLimits   LinesClause     = iota
	Route        LinesClause     = iota
	BadDir       StringClause    = iota
	BadAdmin     StringClause    = iota
	Wakeup       DurationClause  = iota
	MaxChildren  IntClause       = iota
	Batch        IntClause       = iota
	AgentTimeout DurationClause  = iota
	Retry        DurationsClause = iota
	MaxAge       DurationClause  = iota
	Bounce       BoolClause      = iota
	BounceAgent  WordsClause     = iota
	Metrics      StringClause    = iota
)

func (c StringClause) index() int    { return int(c) }
func (c WordsClause) index() int     { return int(c) }
func (c IntClause) index() int       { return int(c) }
func (c DurationClause) index() int  { return int(c) }
func (c DurationsClause) index() int { return int(c) }
func (c BoolClause) index() int      { return int(c) }
func (c PatternsClause) index() int  { return int(c) }
func (c DomainsClause) index() int   { return int(c) }
func (c LinesClause) index() int     { return int(c) }
func (c permitClause) index() int    { return int(c) }

// String is the clause's name in a table.
func (c StringClause) String() string { return clauses[c].name }

// String is the clause's name in a table.
func (c LinesClause) String() string { return clauses[c].name }

// String is the clause's name in a table.
func (c WordsClause) String() string { return clauses[c].name }

// String is the clause's name in a table.
func (c IntClause) String() string { return clauses[c].name }

// String is the clause's name in a table.
func (c DurationClause) String() string { return clauses[c].name }

// String is the clause's name in a table.
func (c DurationsClause) String() string { return clauses[c].name }

// String is the clause's name in a table.
func (c BoolClause) String() string { return clauses[c].name }

// String is the clause's name in a table.
func (c PatternsClause) String() string { return clauses[c].name }

// String is the clause's name in a table.
func (c DomainsClause) String() string { return clauses[c].name }

func (c permitClause) String() string { return clauses[c].name }
