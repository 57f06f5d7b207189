// Package courier drains a spool. It watches new/, claims messages, hands them to
// agents, records what became of each recipient, and then finishes a message, defers
// it or sets it aside. SPOOL-FORMAT.md describes the spool, smapd(8) the program
// around this package.
//
// # Parts
//
// The loop (loop.go) is one goroutine that owns all state. Whatever may wait for a
// disk, a program or a server runs beside it and returns what the loop does then.
//
//	side, watch, scan   watch and scan the spool; events are hints, the scan is the truth
//	intake              the order in which messages are routed; knows nothing of lanes
//	sorter, route       which lanes a message has recipients for
//	lane, gate          an agent with its queue, slots and gate; knows nothing of boxes
//	dispatch            which message starts now, and where each one waits
//	deliver, parts      one claimed message; each lane's part has a goroutine
//	conclude, notify    what becomes of the message, and what its sender is told
//	chores, metrics     sweep, flush, aging, digest, metrics
//	shut                the file that says which lanes are shut
//
// # States of a message
//
// In memory a message is in one of these states. On disk it is always whole, in new
// or in cur: this process may forget everything at any time.
//
//	unknown    on disk only                           a scan or an event finds it
//	intake     found, not routed                      queued when a lane has room; routed first, unless
//	                                                  it is alone
//	queued     in the queues of its lanes             started when its turn comes and a gate lets it
//	blocked    in a lane: its key has its share       queued when a delivery of the key ends
//	waits      in a lane: its agent was not reached   queued after 250 ms, up to 30 s
//	locked     among the looks: locked, odd, or the   intake at an event, or when a look finds it free
//	           spool could not be written
//	running    claimed; parts of lanes deliver        finished, deferred, set aside or given back
//	held       claimed; delivered, not written yet    written again each second, up to 30 s
//	deferred   in cur with the time of its attempt    intake at that time
//
// # Invariants
//
// No lane waits for another: they share neither slots nor queues, and a message that
// is for several lanes is claimed once and joined by each (TestLanesTogether, TestNothingHoldsUpTheGoodLane).
// New and deferred mail start in turn (TestLaneTurns, TestDueAmongNew). What one
// message meets shuts no gate (TestGate). A locked message costs a lane one look
// (TestLockedCostNothing). The work of an event does not grow with the backlog
// (TestWorkIsBounded). The loop answers while the disk does not, also during a stop
// (TestStalledDisk, TestStalledClose). Memory is bounded: at most 8,192 messages in each
// lane, 1,024 among the looks, and 32,768 in each queue of the intake; a scan finds the
// others when there is room. At most 3,072 of a lane's wait for one key, so that others
// find room (TestKeyLeavesRoom). While an agent cannot be reached, the slot of the looks
// serves messages whose age alone is a reason to act (TestUnreachedExpires).
//
// # Delivered twice
//
// No message is lost, whatever dies and whenever. A recipient gets a message twice
// only if this process, or the machine, dies between the agent's delivery and its
// record; a sender gets a report twice only if it dies between feeding the report and
// its record. The maildir agent finds an earlier delivery, unless a mail reader has
// moved it.
//
// # Log
//
// Every event is one record whose message is the event's name. Administrators
// grep for them, so names and keys are part of the interface:
//
//	start       dir agent maxchildren           the courier is at work
//	reload      agent maxchildren               a new configuration is in use
//	stop        running                         nothing new starts; waits for what runs
//	stopped     finished deferred aside         the end, with totals
//	delivered   id to agent ms text             the agent took this recipient; text is its answer
//	failed      id to agent text                the agent refused this recipient for good
//	deferred    id attempts next waiting text   will be retried
//	aside       id file reason                  moved to bad/ for a person
//	finished    id from size recipients ms      every recipient has an outcome, the message is removed
//	reported    id report kind recipients       a report to the sender was fed, as report
//	expired     id attempts age                 older than the maximum age; aside or reported follows
//	trouble     what error                      the system, not a message, is at fault
//	healed      what                            that trouble is over
//	busy        name for                        locked for unusually long; logged once
//	ignored     box name reason                 a name that is no message; logged once
//	watch-lost  error                           no events; rescans go on
//	watch-back                                  events again
//	spool-moved dir                             the directory was replaced; opened again
//
// Trouble with a lane's agent or with the spool is logged once when it begins and once
// when it ends; other trouble is logged once until it is over. What is "agent", "lane
// NAME", "spool", or the file or chore. Package spoolfmt adds what recovery finds:
// "recovered" and "not recovered" with the file.
package courier
