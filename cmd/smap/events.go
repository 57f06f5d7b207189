package main

// The events outside the SMTP dialogue. smap-log(5) lists all events.
const (
	eventStart      = "start"      // a note about the start, such as: not root
	eventListen     = "listen"     // a server accepts connections at an address
	eventSandbox    = "sandbox"    // the sandbox is on, off or incomplete
	eventStop       = "stop"       // a server ends
	eventTable      = "table"      // a rule is allowed but probably a mistake
	eventLimits     = "limits"     // maxsessions or maxperclient is not enforced
	eventRecipients = "recipients" // the file of known recipients has changed
	eventProxy      = "proxy"      // a load balancer named its client, or sent a wrong header
	eventBusy       = "busy"       // a client got 421 because of a limit
	eventExit       = "exit"       // a client was gone before its session began

	eventDeny = "securityalert: deny" // permit-hosts and deny-hosts refuse a client

	eventCannotStart = "fwtksyserr: start"   // the spool cannot be opened, a child cannot start, or privileges cannot be given up
	eventLookup      = "fwtksyserr: lookup"  // the look-up child does not answer
	eventAccept      = "fwtksyserr: accept"  // no connection can be accepted
	eventClose       = "fwtksyserr: close"   // a listening socket could not be closed
	eventMetrics     = "fwtksyserr: metrics" // the metrics file cannot be written; logged once until it works again
	eventPanic       = "fwtksyserr: panic"   // a fault in smap itself ended a session
)

// wordTableError begins the event of an error in the table. Each error is one event.
const wordTableError = "fwtkcfgerr: "
