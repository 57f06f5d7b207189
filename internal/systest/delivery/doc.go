// Package delivery tests what smapd and other drainers do with a spool: agents, a backlog, many drainers, watches.
package delivery
