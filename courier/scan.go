package courier

import (
	"context"
	"strings"
	"time"

	"smap/spoolfmt"
)

// A scanned is what one scan of a box found.
type scanned struct {
	box    spoolfmt.Box
	queue  queue
	names  int // all names in the box
	waits  int // messages in it
	oldest int64
	err    error
	last   bool // of the boxes that were asked for
	home   *lease
}

// A scanner reads the boxes. It is used by one goroutine at a time.
type scanner struct {
	ev      events
	said    map[spoolfmt.Box]*said
	longest time.Duration
}

func newScanner(ev events, longest time.Duration) *scanner {
	return &scanner{ev: ev, longest: longest, said: map[spoolfmt.Box]*said{spoolfmt.New: {}, spoolfmt.Cur: {}}}
}

// scan looks at every name in the box once and keeps the first of them: by
// arrival in new/, by next attempt in cur/. No file is opened.
func (s *scanner) scan(ctx context.Context, sp *spoolfmt.Spool, box spoolfmt.Box, after item, now time.Time) scanned {
	r := scanned{box: box, queue: queue{after: after}}
	said := s.said[box]
	said.begin()
	r.err = sp.Scan(box, func(e spoolfmt.Entry) error {
		r.names++
		if r.names%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		switch e.Kind {
		case spoolfmt.KindEnvelope, spoolfmt.KindMail:
			info, err := sp.Stat(box, e.Name)
			if err != nil {
				return nil // gone meanwhile; one that stays will be met again
			}
			at := info.ModTime
			if box == spoolfmt.Cur {
				at = dueTime(at, now, s.longest)
			}
			r.waits++
			if n := info.ModTime.UnixNano(); box == spoolfmt.New && (r.oldest == 0 || n < r.oldest) {
				r.oldest = n
			}
			r.queue.add(item{at: at.UnixNano(), name: e.Name, cur: box == spoolfmt.Cur})
		case spoolfmt.KindOther:
			// A pair is ignored once, by the name that would have committed it.
			if !strings.HasSuffix(e.Name, spoolfmt.KindContent.Suffix()) && said.once(e.Name) {
				s.ev.ignored(box, e.Name, "not a name of the spool format")
			}
		}
		return nil
	})
	r.queue.seal()
	if r.err == nil {
		said.end()
	}
	return r
}
