package main

// The events of smapd itself, as smap-log(5) lists them; package courier has those of
// deliveries.
const (
	eventConfig       = "config"        // something in the table is allowed and suspicious
	eventSmallLimit   = "small-limit"   // a server takes only smaller messages than smap accepts
	eventReloadFailed = "reload-failed" // the new table cannot be used, and the old one still is
	eventUndelivered  = "undelivered"   // with -once, mail is left that cannot be delivered now
	eventTrouble      = "trouble"       // the service manager or the parent cannot be reached
	eventFatal        = "fatal"         // smapd cannot go on

	eventChildStart = "fwtksyserr: child-start" // the program that does the work cannot be started
)
