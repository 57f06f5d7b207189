package courier

import (
	"context"
	"errors"
	"io/fs"
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
	oldest time.Time
	took   time.Duration
	err    error
	unseen error // of a message that could not be looked at; the others are in queue
}

// A scanner reads the boxes. It is used by one goroutine at a time.
type scanner struct {
	logged map[spoolfmt.Box]*onceSet
}

func newScanner() *scanner {
	return &scanner{logged: map[spoolfmt.Box]*onceSet{spoolfmt.New: {}, spoolfmt.Cur: {}, spoolfmt.Bad: {}}}
}

// scan looks at every name in the box once and keeps the first of them: by
// arrival in new/, by next attempt in cur/. No file is opened.
func (s *scanner) scan(ctx context.Context, cfg *Config, sp *spoolfmt.Spool, box spoolfmt.Box, after item, now time.Time) scanned {
	r := scanned{box: box, queue: queue{after: after}}
	begin := time.Now()
	logged := s.logged[box]
	logged.begin()
	r.err = sp.Scan(box, func(e spoolfmt.Entry) error {
		r.names++
		if r.names%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case box == spoolfmt.Bad:
			if e.Kind == spoolfmt.KindEnvelope {
				r.waits++ // nothing else is of interest there
			}
		case e.Kind == spoolfmt.KindEnvelope, e.Kind == spoolfmt.KindDrop:
			r.message(cfg, sp, e.Name, now)
		case e.Kind == spoolfmt.KindContent && box == spoolfmt.Cur && cfg.Metrics != "":
			// The envelope's time is that of the next attempt.
			if info, err := sp.Stat(box, e.Name); err == nil {
				r.age(info.ModTime)
			}
		case e.Kind == spoolfmt.KindOther:
			// A pair is ignored once, by the name that would have committed it.
			if !strings.HasSuffix(e.Name, spoolfmt.KindContent.Suffix()) && logged.first(e.Name) {
				events{cfg.Log}.ignored(box, e.Name, "not a name of the spool format")
			}
		}
		return nil
	})
	r.queue.seal()
	if r.err == nil {
		logged.end()
	}
	r.took = time.Since(begin)
	return r
}

// message takes a name in that makes a message.
func (r *scanned) message(cfg *Config, sp *spoolfmt.Spool, name string, now time.Time) {
	info, err := sp.Stat(r.box, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return // gone meanwhile
	case err != nil:
		r.unseen = err // it will be met again
		return
	}
	r.waits++
	at := info.ChangeTime // a feeder cannot set it, to get before others
	if r.box == spoolfmt.Cur {
		at = dueTime(info.ModTime, now, cfg.Schedule.Longest())
	} else {
		r.age(info.ModTime)
	}
	r.queue.add(item{at: at.UnixNano(), name: name, cur: r.box == spoolfmt.Cur})
}

func (r *scanned) age(t time.Time) {
	if r.oldest.IsZero() || t.Before(r.oldest) {
		r.oldest = t
	}
}
