// Package landlock takes a process's access to the file system and to the
// network away: landlock(7) of Linux.
//
// It differs from github.com/landlock-lsm/go-landlock in that its rules are
// about directories that are open, whose names a stranger may have replaced,
// and in that it is never less than it says: without moves between directories,
// say, it is an error.
package landlock
