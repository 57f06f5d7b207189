package supervise

// The events of a parent and its child, as smap-log(5) lists them.
const (
	eventChild        = "child"         // the parent has started the process that does the work
	eventReady        = "ready"         // that process is at work
	eventChildDied    = "child-died"    // it ended by itself, and is started again
	eventReloadFailed = "reload-failed" // the process with a new table ended before it was at work

	eventChildStart = "fwtksyserr: child-start" // it cannot be started
	eventChildRules = "fwtksyserr: child-rules" // it did not read what its parent told it
)
