package main

import (
	"context"
	"slices"
	"strings"

	"smap/internal/sysexits"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// minShort is how many characters the beginning of an id must have.
const minShort = 4

// shortKey is the part of an id that differs from the others early: the random
// part of an id of ours, 20261123T200413.123456Z-7f3a9c1e2b4d5e6f, the whole of
// anybody else's.
func shortKey(id string) string {
	if at := strings.Index(id, "Z-"); at > 0 && len(id)-at-2 >= minShort {
		return id[at+2:]
	}
	return id
}

// shortIDs returns the shortest beginnings of the ids' keys that are unique.
func shortIDs(ids []string) map[string]string {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = shortKey(id)
	}
	slices.Sort(keys)
	short := make(map[string]string, len(ids))
	for _, id := range ids {
		key := shortKey(id)
		at, _ := slices.BinarySearch(keys, key)
		n := minShort
		if at > 0 {
			n = max(n, common(keys[at-1], key)+1)
		}
		if at+1 < len(keys) {
			n = max(n, common(keys[at+1], key)+1)
		}
		if n > len(key) { // another has the same key, or goes on from it
			short[id] = id
			continue
		}
		short[id] = key[:n]
	}
	return short
}

// common is how many octets two texts begin with.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// resolve makes whole ids of what was typed: ids, or unique beginnings of ids or of
// their random parts. What fits nothing stays: the message may be gone, which the
// command says itself.
func resolve(ctx context.Context, s *spoolfmt.Spool, typed []string) ([]string, error) {
	found := make([][]string, len(typed))
	err := eachRef(ctx, s, walkBoxes(s), func(r ref) error {
		for i, t := range typed {
			if r.id == t {
				found[i] = []string{t}
			} else if len(t) >= minShort && (strings.HasPrefix(r.id, t) || strings.HasPrefix(shortKey(r.id), t)) &&
				len(found[i]) < maxShown+1 && !slices.Contains(found[i], t) && !slices.Contains(found[i], r.id) {
				found[i] = append(found[i], r.id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	ids := slices.Clone(typed)
	for i, all := range found {
		switch {
		case len(all) == 1:
			ids[i] = all[0]
		case len(all) > maxShown:
			return nil, usagef("%q begins more than %d ids; type more of it", typed[i], maxShown)
		case len(all) > 1:
			return nil, usagef("%q begins %d ids; type more of it:\n  %s", typed[i], len(all), strings.Join(all, "\n  "))
		default:
			if err := envelope.CheckID(typed[i]); err != nil {
				return nil, failure(sysexits.Usage, err)
			}
		}
	}
	return ids, nil
}
