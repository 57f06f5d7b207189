package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"smap/spoolfmt"
)

// TestRefList keeps more ids than fit into one block, and gets them back sorted.
func TestRefList(t *testing.T) {
	var list refList
	var want []ref
	for i := range 2*idBlock/200 + 7 {
		r := ref{id: fmt.Sprintf("%06d%s", (i*7919)%100_003, strings.Repeat("x", i%250)), box: spoolfmt.Box(i % 4), kind: spoolfmt.Kind(i % 5)}
		list.add(r)
		want = append(want, r)
	}
	if len(list.ids) < 2 {
		t.Fatalf("%d blocks: the test needs more ids", len(list.ids))
	}
	list.sort()
	slices.SortFunc(want, func(a, b ref) int { return strings.Compare(a.id, b.id) })
	var got []ref
	if err := list.each(t.Context(), func(part []ref) error { got = append(got, part...); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d refs, want %d, or others", len(got), len(want))
	}
}

// TestReadLooks reads size and time of arrival from the envelope, and looks at
// the content's file only for what the envelope does not say.
func TestReadLooks(t *testing.T) {
	dir := t.TempDir()
	s, err := spoolfmt.OpenDrainer(dir, spoolfmt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	old := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for id, more := range map[string]string{"told": "Received-At: 2026-02-03T04:05:06Z\n", "untold": ""} {
		for name, text := range map[string]string{
			id + ".envelope": "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\nSize: 5\n" + more + "\n",
			id + ".eml":      "four",
		} {
			if err := os.WriteFile(dir+"/new/"+name, []byte(text), 0o640); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(dir+"/new/"+name, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	for id, want := range map[string]row{
		"told":   {Size: 5, Arrived: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)},
		"untold": {Size: 4, Arrived: old},
	} {
		got, err := read(s, ref{id: id, box: spoolfmt.New, kind: spoolfmt.KindEnvelope}, old, nil, nil)
		if err != nil || got.Size != want.Size || !got.Arrived.Equal(want.Arrived) {
			t.Errorf("%s: %d octets, arrived %v, %v", id, got.Size, got.Arrived, err)
		}
	}
}
