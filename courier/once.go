package courier

// maxOnce bounds what a onceSet remembers. When a hostile feeder fills it, nothing
// more of that kind is logged until there is room.
const maxOnce = 4096

// A onceSet remembers what was logged and need not be logged again. What a whole scan
// does not see any more is forgotten.
type onceSet struct {
	seen map[string]uint64 // key and the number of the last scan that saw it
	scan uint64
	full bool
}

// first returns true when the key is new.
func (s *onceSet) first(key string) bool {
	if _, known := s.seen[key]; known {
		s.seen[key] = s.scan
		return false
	}
	if len(s.seen) >= maxOnce {
		first := !s.full
		s.full = true
		return first // the last one that is logged
	}
	if s.seen == nil {
		s.seen = make(map[string]uint64)
	}
	s.seen[key] = s.scan
	return true
}

// drop forgets a key, so that it is logged again when it comes back.
func (s *onceSet) drop(key string) { delete(s.seen, key) }

// begin starts a scan, end forgets what it did not see.
func (s *onceSet) begin() { s.scan++ }

func (s *onceSet) end() {
	for k, n := range s.seen {
		if n != s.scan {
			delete(s.seen, k)
		}
	}
	if len(s.seen) < maxOnce {
		s.full = false
	}
}
