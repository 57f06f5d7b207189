package courier

// maxSaid bounds what is remembered of things that were said. When a hostile
// feeder fills it, nothing more of that kind is said until there is room.
const maxSaid = 4096

// said remembers what the log was told and need not be told again. What a whole
// scan has not seen any more is forgotten.
type said struct {
	seen map[string]uint64 // key and the number of the last scan that saw it
	scan uint64
	full bool
}

// once returns true when the key is new.
func (s *said) once(key string) bool {
	if _, known := s.seen[key]; known {
		s.seen[key] = s.scan
		return false
	}
	if len(s.seen) >= maxSaid {
		first := !s.full
		s.full = true
		return first // the last one that is said
	}
	if s.seen == nil {
		s.seen = make(map[string]uint64)
	}
	s.seen[key] = s.scan
	return true
}

// drop forgets a key, so that it is said again when it comes back.
func (s *said) drop(key string) { delete(s.seen, key) }

// begin starts a scan, end forgets what it did not see.
func (s *said) begin() { s.scan++ }

func (s *said) end() {
	for k, n := range s.seen {
		if n != s.scan {
			delete(s.seen, k)
		}
	}
	if len(s.seen) < maxSaid {
		s.full = false
	}
}
