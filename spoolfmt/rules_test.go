package spoolfmt

import (
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Ways to leave out one rule of SPOOL-FORMAT.md: they break the system calls with which
// one function follows it.

// A rule is one line of the document's pseudo-code, or one step.
type rule struct {
	section, what string
	leave         func(*Spool)
	by            string // the test that notices it where no history of three steps does
}

// in tells whether one of these functions of this package is being run.
func in(functions ...string) bool {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		name := f.Function[strings.LastIndexByte(f.Function, '.')+1:]
		if slices.Contains(functions, name) {
			return true
		}
		if !more {
			return false
		}
	}
}

// blind has a function find nothing in a box under names with that suffix.
func blind(function string, box Box, suffix string) func(*Spool) {
	return func(s *Spool) {
		look := s.sys.lstat
		s.sys.lstat = func(dir int, name string) (unix.Stat_t, error) {
			if dir == s.dirs[box] && strings.HasSuffix(name, suffix) && in(function) {
				return unix.Stat_t{}, unix.ENOENT
			}
			return look(dir, name)
		}
	}
}

// unsynced has functions sync nothing, unless others are run by them.
func unsynced(functions string, but ...string) func(*Spool) {
	return func(s *Spool) {
		sync := s.sys.fsync
		s.sys.fsync = func(fd int) error {
			if in(functions) && (len(but) == 0 || !in(but...)) {
				return nil
			}
			return sync(fd)
		}
	}
}

// unsyncedBox has a function not sync one box.
func unsyncedBox(function string, box Box) func(*Spool) {
	return func(s *Spool) {
		sync := s.sys.fsync
		s.sys.fsync = func(fd int) error {
			if fd == s.dirs[box] && in(function) {
				return nil
			}
			return sync(fd)
		}
	}
}

// keeps has a function remove nothing with that suffix.
func keeps(function, suffix string) func(*Spool) {
	return func(s *Spool) {
		unlink := s.sys.unlink
		s.sys.unlink = func(dir int, name string) error {
			if strings.HasSuffix(name, suffix) && in(function) {
				return nil
			}
			return unlink(dir, name)
		}
	}
}

// stays has a function move nothing with that suffix.
func stays(function, suffix string) func(*Spool) {
	return func(s *Spool) {
		move := s.sys.move
		s.sys.move = func(a int, from string, b int, to string) error {
			if strings.HasSuffix(from, suffix) && in(function) {
				return nil
			}
			return move(a, from, b, to)
		}
	}
}

// unlinked has a function give no second name to what has that suffix.
func unlinked(suffix string) func(*Spool) {
	return func(s *Spool) {
		link := s.sys.link
		s.sys.link = func(a int, from string, b int, to string) error {
			if strings.HasSuffix(from, suffix) {
				return nil
			}
			return link(a, from, b, to)
		}
	}
}

// oneName has a function see one name of each file.
func oneName(function string) func(*Spool) {
	return func(s *Spool) {
		look := s.sys.lstat
		s.sys.lstat = func(dir int, name string) (unix.Stat_t, error) {
			st, err := look(dir, name)
			if in(function) {
				st.Nlink = min(st.Nlink, 1)
			}
			return st, err
		}
	}
}

// removes has a replacing rename to names with that suffix remove something else.
func removes(suffix string, remove func(s *Spool, box int, id, from string) error) func(*Spool) {
	return func(s *Spool) {
		replace := s.sys.replace
		s.sys.replace = func(a int, from string, b int, to string) error {
			if id, ok := strings.CutSuffix(to, suffix); ok {
				return remove(s, b, id, from)
			}
			return replace(a, from, b, to)
		}
	}
}

// rules are the rules of sections 9 and 10, and of A.3 and B as far as they are about the
// same files.
func rules() []rule {
	return []rule{
		{"2.3", "a move never replaces", func(s *Spool) { s.sys.move = s.sys.replace }, "TestIDTaken"}, // three steps show it too, in a minute
		{"2.4", "every sync", func(s *Spool) { s.sys.fsync = func(int) error { return nil } }, ""},

		{"9.1", "lock the content", func(s *Spool) { s.sys.lock = func(int) error { return nil } }, "TestStates"},
		{"9.1", "cur/<id>.mail exists: leave", blind("takeFromNew", Cur, ".mail"), "TestDropKeepsItsID"},
		{"9.1", "cur/<id>.eml exists: stop", blind("takeFromNew", Cur, ".eml"), "TestStates"},
		{"9.1", "cur/<id>.done exists: stop", blind("takeFromNew", Cur, ".done"), "TestStates"},
		{"9.1", "cur/<id>.eml is something else: move it", stays("oddAside", ".eml"), "TestVectors"},
		{"9.1", "cur/<id>.envelope does not exist", blind("takeFromNew", Cur, ".envelope"), ""},
		{"9.1", "move the envelope", stays("takeFromNew", ".envelope"), "TestStates"},
		{"9.1", "move the content", stays("takeFromNew", ".eml"), ""},

		{"9.4", "step 1: sync new", unsyncedBox("syncMoves", New), "TestOrder"},
		{"9.4", "step 1: sync cur", unsyncedBox("syncMoves", Cur), "TestOrder"},
		{"9.4", "step 2: sync the new envelope", unsynced("writeRoom"), "TestOrder"},
		{"9.4", "step 5: sync cur", unsynced("replaceEnvelope", "syncMoves", "writeRoom"), "TestOrder"},

		{"9.5", "step 1: the envelope becomes .done", removes(".done", func(s *Spool, box int, id, from string) error {
			return errors.Join(s.sys.unlink(box, from), fs.ErrNotExist)
		}), ""},
		{"9.5", "step 1, and not the content's removal", removes(".done", func(s *Spool, box int, id, _ string) error {
			return s.sys.unlink(box, id+".eml")
		}), ""},
		{"9.5", "step 2: sync the box", unsyncedBox("Flush", Cur), ""},
		{"9.5", "step 2: sync new", unsyncedBox("Flush", New), ""},
		{"9.5", "step 2, before step 3", func(s *Spool) {
			replace := s.sys.replace
			s.sys.replace = func(a int, from string, b int, to string) error {
				err := replace(a, from, b, to)
				if id, ok := strings.CutSuffix(to, ".done"); ok && err == nil {
					return s.sys.unlink(b, id+".eml")
				}
				return err
			}
		}, "TestOrder"},
		{"9.5", "step 3: remove the content", keeps("Flush", ".eml"), ""},
		{"9.5", "step 4: remove .done", keeps("Flush", ".done"), "TestOrder"},
		{"9.5", "step 4: after a later sync", func(s *Spool) {
			unlink := s.sys.unlink
			s.sys.unlink = func(dir int, name string) error {
				err := unlink(dir, name)
				if id, ok := strings.CutSuffix(name, ".eml"); ok && in("Flush") {
					err = errors.Join(err, ignoreNotExist(unlink(dir, id+".done")))
				}
				return err
			}
		}, "TestOrder"},

		{"9.6", "step 2: link the content", unlinked(".eml"), ""},
		{"9.6", "step 2: link the envelope", unlinked(".envelope"), "TestSetAside"},
		{"9.6", "step 3: sync bad", unsynced("setAside", "writeReason", "leaveCur"), "TestOrder"},
		{"9.6", "step 4: remove the envelope", keeps("leaveCur", ".envelope"), "TestSetAside"},
		{"9.6", "step 4: remove the content", keeps("leaveCur", ".eml"), "TestSetAside"},
		{"9.6", "step 4: the content after the envelope", func(s *Spool) {
			unlink := s.sys.unlink
			s.sys.unlink = func(dir int, name string) error {
				if id, ok := strings.CutSuffix(name, ".envelope"); ok && in("leaveCur") {
					return errors.Join(unlink(dir, id+".eml"), unlink(dir, name))
				}
				return unlink(dir, name)
			}
		}, "TestOrder"},

		{"9.7", "nothing of the id is in new", blind("requeue", New, ""), "TestRequeueBlocked"},
		{"9.7", "nothing of the id is in cur", blind("requeue", Cur, ""), "TestRequeueBlocked"},
		{"9.7", "step 2: sync the envelope and bad", unsynced("rewriteAside"), "TestOrder"},
		{"9.7", "step 3: move the content", stays("requeue", ".eml"), "TestRequeue"},
		{"9.7", "step 3: move the envelope", stays("requeue", ".envelope"), "TestRequeue"},
		{"9.7", "step 3: sync new", unsyncedBox("requeue", New), "TestOrder"},
		{"9.7", "step 3: sync bad", unsyncedBox("requeue", Bad), "TestOrder"},
		{"9.7", "delete: the other message of the id stays", blind("onlyOne", Bad, ""), "TestDeleteAmbiguous"},
		{"9.7", "delete in bad: syncs", unsynced("deleteAside"), "TestOrder"},

		{"10.1", "36 hours", func(s *Spool) {
			look := s.sys.lstat
			s.sys.lstat = func(dir int, name string) (unix.Stat_t, error) {
				st, err := look(dir, name)
				if in("orphan", "takeLone", "oldInTmp") {
					st.Ctim = unix.Timespec{}
				}
				return st, err
			}
		}, "TestVectors"},

		{"10.2", "a drop is beside it: stop", blind("recover", Cur, ".mail"), "TestVectors"},
		{"10.2", "remove older names", oneName("olderNames"), ""},
		{"10.2", "the message is in bad too", func(s *Spool) {
			look := s.sys.lstat
			s.sys.lstat = func(dir int, name string) (unix.Stat_t, error) {
				if dir == s.dirs[Bad] && in("olderNames") {
					return unix.Stat_t{}, unix.ENOENT
				}
				return look(dir, name)
			}
		}, "TestVectors"},
		{"10.2", "it is in bad too: sync bad", unsynced("recover", "leaveCur", "endDone", "olderNames"), "TestOrder"},
		{"10.2", "an envelope: remove .done", keeps("recover", ".done"), "TestVectors"},
		{"10.2", "an envelope counts, whatever .done says", blind("recover", Cur, ".envelope"), ""},
		{"10.2", ".done fits: sync new and cur, and cur again", unsynced("endDone"), "TestOrder"},
		{"10.2", ".done fits: remove the content", keeps("endDone", ".eml"), "TestVectors"},
		{"10.2", ".done fits: remove .done", keeps("endDone", ".done"), "TestOrder"},
		{"10.2", "new has the envelope", func(s *Spool) {
			move := s.sys.move
			s.sys.move = func(a int, from string, b int, to string) error {
				if a == s.dirs[New] && in("recover") {
					return unix.ENOENT // nil would have it look again for ever
				}
				return move(a, from, b, to)
			}
		}, ""},
		{"10.2", "new has the envelope, and no content", blind("recover", New, ".eml"), "TestPairInNewBlocked"},
		{"10.2", "LOST and HALF: move the content", stays("orphan", ".eml"), ""},
		{"10.2", "LOST and HALF: no envelope in new", blind("envelopeNear", New, ".envelope"), "TestSweep"},
		{"10.2", "LOST and HALF: no envelope in cur", blind("envelopeNear", Cur, ".envelope"), "TestSweepKeepsOrphanOfKnownEnvelope"},
		{"10.2", "HALF: no envelope in bad", blind("envelopeNear", Bad, ".envelope"), "TestVectors"},
		{"10.2", "LOST and HALF: syncs", unsynced("orphan"), "TestOrder"},

		{"10.3", "ALONE: no content in new", blind("alone", New, ".eml"), "TestVectors"},
		{"10.3", "ALONE: no content in cur", blind("alone", Cur, ".eml"), "TestVectors"},
		{"10.3", "ALONE: no drop", blind("alone", Cur, ".mail"), "TestVectors"},
		{"10.3", "ALONE: remove older names", oneName("lockLone"), "TestVectors"},
		{"10.3", "ALONE: move the envelope", stays("asideLone", ".envelope"), ""},
		{"10.3", "ALONE: sync bad, new and cur", unsynced("asideLone", "rewriteAside"), "TestOrder"},
		{"10.3", "ENDED: no drop", blind("ended", Cur, ".mail"), "TestOrder"},
		{"10.3", "ENDED: no content", blind("ended", Cur, ".eml"), "TestOrder"},
		{"10.3", "ENDED: remove older names", oneName("ended"), "TestVectors"},
		{"10.3", "ENDED: sync cur", unsynced("ended"), "TestOrder"},
		{"10.3", "ENDED: remove .done", keeps("ended", ".done"), ""},

		{"A.3", "step 3: sync both files", unsynced("fsync"), ""},
		{"A.3", "step 3: sync new", unsyncedBox("placeDraft", New), "TestOrder"},
		{"A.3", "step 4: sync cur", unsyncedBox("removeDrop", Cur), "TestOrder"},
		{"A.3", "step 5: remove the drop", keeps("removeDrop", ".mail"), ""},
		{"A.3", "MAKING: move a directory away", stays("removeHalf", ""), "TestVectors"},
		{"A.3", "MADE: with an envelope", blind("beside", Cur, ".envelope"), "TestVectors"},
		{"A.3", "MADE: with .done", blind("beside", Cur, ".done"), "TestVectors"},
	}
}
