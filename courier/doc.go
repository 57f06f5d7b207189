// Package courier drains a spool: it watches new/, claims messages, hands them
// to an agent, records what became of each recipient, and tries again, sets
// aside or finishes. SPOOL-FORMAT.md describes the spool; smapd(8) the program
// that is a thin main around this package.
//
// Events are hints and the scan is the truth: start, timer, queue overflow, a
// watch that broke and SIGUSR1 all end in the same scan of new/ and cur/. An
// event that names a message only lets it be claimed at once.
//
// # Delivered twice
//
// No message is lost, whatever dies and whenever. A recipient gets a message twice
// only if this process, or the machine, dies between the agent's delivery and its
// record; a report, only if it dies between feeding it and its record. The maildir
// agent finds what it has delivered before, if nobody has moved it since.
//
// # Log
//
// Every event is one record whose message is the event's name. Administrators
// grep for them, so names and keys are part of the interface:
//
//	start       dir agent maxchildren           the courier is at work
//	reload      agent maxchildren               a new configuration is in use
//	stop        running                         no new deliveries; waits for what runs
//	stopped     finished deferred aside         the end, with totals
//	delivered   id to agent ms text             the agent has taken this recipient; text is its answer
//	failed      id to agent text                the agent refused this recipient for good
//	deferred    id attempts next waiting text   to be tried again
//	aside       id file reason                  moved to bad/ for a person
//	finished    id from size recipients ms      nobody is left to deliver to, the message is gone
//	reported    id report kind recipients       a report to the sender was fed, as report
//	expired     id attempts age                 the maximum age is over, aside or reported follows
//	trouble     what error                      the system, not a message, is at fault
//	healed      what                            that trouble is over
//	busy        name for                        locked by somebody for unusually long; said once
//	ignored     box name reason                 a name that is no message; said once
//	watch-lost  error                           no events; rescans go on
//	watch-back                                  events again
//	spool-moved dir                             the directory was replaced; opened again
//
// Trouble with the agent or the spool is said once when it begins and once when it
// ends, however often it is met in between; other trouble is said once until it is
// over. Package spoolfmt adds what recovery finds: "recovered" and "not recovered"
// with the file.
package courier
