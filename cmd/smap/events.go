package main

// The events of smap outside a session's dialogue, as smap-log(5) lists them.
const (
	eventStart      = "start"      // smap starts in a way that is worth a note
	eventListen     = "listen"     // a server accepts connections at an address
	eventSandbox    = "sandbox"    // the sandbox is on, or a part of it is missing
	eventStop       = "stop"       // a server ends
	eventTable      = "table"      // a rule is allowed but probably a mistake
	eventLimits     = "limits"     // maxsessions or maxperclient does not hold
	eventRecipients = "recipients" // the file of known recipients has changed
	eventProxy      = "proxy"      // a load balancer named its client, or sent a wrong header
	eventBusy       = "busy"       // a client heard 421 because of a limit
	eventExit       = "exit"       // a client was gone before its session began

	eventDeny = "securityalert: deny" // permit-hosts and deny-hosts refuse a client

	eventCannotStart = "fwtksyserr: start"   // the spool cannot be opened, or privileges cannot be given up
	eventLookup      = "fwtksyserr: lookup"  // the process that looks up names does not answer or start
	eventAccept      = "fwtksyserr: accept"  // no connection can be accepted
	eventClose       = "fwtksyserr: close"   // a listening socket could not be closed
	eventMetrics     = "fwtksyserr: metrics" // the metrics file cannot be written; said once
	eventPanic       = "fwtksyserr: panic"   // a fault in smap itself ended a session
)

// wordTableError is in front of each error in the table, which is an event of its own.
const wordTableError = "fwtkcfgerr: "
