package courier

import (
	"cmp"
	"slices"
	"strings"

	"smap/courier/agent"
)

// queueLimit bounds what one scan keeps in memory. The rest stays on disk, and the
// next scan finds it.
const queueLimit = 32768

// An item is a message in a queue: its name in a box, and a time in nanoseconds since
// 1970. That is its arrival, its next attempt or its next look.
type item struct {
	at   int64
	name string
	cur  bool        // it was in cur/, not in new/
	keys *agent.Keys // in a lane; nil is not known, and costs less where a million wait
}

// hangs returns what the message hangs together by with others.
func (it item) hangs() agent.Keys {
	if it.keys == nil {
		return agent.Keys{}
	}
	return *it.keys
}

func compareItems(a, b item) int {
	if c := cmp.Compare(a.at, b.at); c != 0 {
		return c
	}
	return strings.Compare(a.name, b.name)
}

// A queue keeps the first of any number of items, in order. It is filled in one
// go by a scan (add, add, ..., seal) and afterwards grows by insert.
type queue struct {
	items []item
	more  bool // items were left out: all of them come after the last one here
	after item // a scan leaves out what is not after this one
}

// add takes an item of a scan; seal ends the scan.
func (q *queue) add(it item) {
	if q.after.name != "" && compareItems(it, q.after) <= 0 {
		return
	}
	q.items = append(q.items, it)
	if len(q.items) >= 2*queueLimit {
		q.seal()
	}
}

// seal sorts what add collected and drops what is over the limit.
func (q *queue) seal() {
	slices.SortFunc(q.items, compareItems)
	if len(q.items) > queueLimit {
		q.more = true
		clear(q.items[queueLimit:])
		q.items = q.items[:queueLimit]
	}
}

// insert puts an item in its place. It leaves the item to the next scan if that has to
// find items before it already. It reports whether the item is in.
func (q *queue) insert(it item) bool {
	n := len(q.items)
	if q.more && (n == 0 || compareItems(it, q.items[n-1]) > 0) {
		return false
	}
	i := n
	if n > 0 && compareItems(it, q.items[n-1]) < 0 {
		i, _ = slices.BinarySearchFunc(q.items, it, compareItems)
	}
	if n >= queueLimit {
		q.more = true
		if i == n {
			return false
		}
		q.items = q.items[:n-1]
	}
	q.items = slices.Insert(q.items, i, it)
	return true
}

func (q *queue) empty() bool { return len(q.items) == 0 }

// pop takes the first item. The queue must not be empty.
func (q *queue) pop() item {
	it := q.items[0]
	q.items[0] = item{}
	q.items = q.items[1:]
	return it
}
