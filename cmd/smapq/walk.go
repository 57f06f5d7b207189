package main

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"smap/spoolfmt"
)

// maxSorted bounds how many messages are kept in memory to be sorted. Beyond it
// they come in the order of the directories.
const maxSorted = 400_000

// errManyMessages ends a scan that finds more than can be sorted.
var errManyMessages = errors.New("too many messages to sort")

// eachRef calls f for every message in the boxes, in no order.
func eachRef(ctx context.Context, s *spoolfmt.Spool, boxes []spoolfmt.Box, f func(ref) error) error {
	for _, b := range boxes {
		n := 0
		err := s.Scan(b, func(e spoolfmt.Entry) error {
			n++
			if n%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			r := ref{id: e.ID, box: b, kind: e.Kind}
			switch e.Kind {
			case spoolfmt.KindEnvelope:
				return f(r)
			case spoolfmt.KindDrop, spoolfmt.KindContent:
				if e.Kind == spoolfmt.KindContent && b != spoolfmt.Bad {
					return nil // not a message without its envelope
				}
				// With an envelope that is listed; with a .done it is being removed.
				for _, other := range []spoolfmt.Kind{spoolfmt.KindEnvelope, spoolfmt.KindDone} {
					if _, err := s.Stat(b, e.ID+other.Suffix()); !errors.Is(err, fs.ErrNotExist) {
						return err
					}
				}
				return f(r)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// walkBoxes are where messages are.
func walkBoxes(s *spoolfmt.Spool) []spoolfmt.Box {
	var use []spoolfmt.Box
	for _, b := range []spoolfmt.Box{spoolfmt.New, spoolfmt.Cur, spoolfmt.Bad} {
		if s.Missing(b) == nil {
			use = append(use, b)
		}
	}
	return use
}

// walk calls f for every message, sorted by id, which is by time, as long as
// there are not more than most; then in no order. Memory does not grow beyond
// that.
func walk(ctx context.Context, s *spoolfmt.Spool, boxes []spoolfmt.Box, most int, f func([]ref) error) (sorted bool, err error) {
	var all refList
	part := make([]ref, 0, chunkSize)
	sorted = true
	err = eachRef(ctx, s, boxes, func(r ref) error {
		if sorted && len(all.list) < most {
			all.add(r)
			return nil
		}
		if sorted { // what was kept comes first, and its memory is free again
			sorted = false
			if err := all.each(ctx, f); err != nil {
				return err
			}
			all = refList{}
		}
		if part = append(part, r); len(part) < chunkSize {
			return nil
		}
		err := f(part)
		part = part[:0]
		return err
	})
	switch {
	case err != nil:
		return sorted, err
	case !sorted:
		return false, f(part)
	}
	all.sort()
	return true, all.each(ctx, f)
}

// chunkSize is how many messages are looked at together.
const chunkSize = 512

// workers is how many goroutines look: the work is system calls, and two
// processors answer more of them.
const workers = 4

// parallel calls f for 0 to n-1 from several goroutines, each with a buffer of
// its own.
func parallel(n int, f func(i int, buf []byte)) {
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			buf := make([]byte, 0, 8<<10)
			for i := w; i < n; i += workers {
				f(i, buf)
			}
		})
	}
	wg.Wait()
}
