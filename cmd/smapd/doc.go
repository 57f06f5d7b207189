// Smapd takes mail out of a spool and hands it to an agent, such as sendmail(1).
//
// Started as root it is a small parent that reads the table, starts the
// program that does the work as another user with the rules on a pipe, and
// starts it again if it dies. Otherwise it is one process. See smapd(8).
//
// # Log
//
// Package courier lists the events of deliveries. These are the events of the
// processes:
//
//	config                     warning             the table is odd, and in use
//	child                      pid                 the parent has started the process that works
//	ready                      pid                 it works
//	child-died                 pid status seconds  it ended, and is started again
//	reload-failed              error pid status    the old rules stay in use; pid is a child that did not start with the new ones
//	trouble                    what error          the parent or the service manager does not listen; said once
//	small-limit                agent limit note    the server takes less than smap's maxbytes allows; said once
//	undelivered                error               -once leaves mail that cannot be delivered now
//	fatal                      error               the end
//	fwtksyserr: child-start    error               no child can be started
//	fwtksyserr: child-rules    pid error           a child does not read its rules, and is ended
package main
