package spoolfmt

// The events of the spool, as smap-log(5) lists them.
const (
	eventRecovered        = "recovered"                     // what a crash left was put in order
	eventNotRecovered     = "not recovered"                 // what a crash left could not be put in order
	eventReasonNotWritten = "set aside: reason not written" // a message is in bad, and its reason only in the log
	eventLeftBehind       = "set aside: left behind"        // an odd file could not be moved to bad after its envelope
	eventBoxesNotSynced   = "spool: new boxes not synced"   // boxes were made, and may not survive a power cut
	eventNotRemoved       = "tmp: not removed"              // a file in tmp that nobody needs any more stays for now
	eventDrain            = "drain"                         // Drain could not drain a message, and tries again later
)
