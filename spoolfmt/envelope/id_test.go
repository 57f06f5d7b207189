package envelope

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestCheckID(t *testing.T) {
	tests := []struct {
		id string
		ok bool
	}{
		{"a", true},
		{"0", true},
		{"Z9._=+-", true},
		{"20261123T200413.123456Z-0123456789abcdef", true},
		{strings.Repeat("x", MaxID), true},
		{strings.Repeat("x", MaxID+1), false},
		{"", false},
		{".a", false},
		{"-a", false},
		{"_a", false},
		{"a/b", false},
		{"a b", false},
		{"a\n", false},
		{"a\x00", false},
		{"aä", false},
		{"..", false},
		{"a.eml", false},
		{"a.envelope", false},
		{"a.mail", false},
		{"a.EML", true},
		{"a.eml.x", true},
		{"eml", true},
	}
	for _, tt := range tests {
		err := CheckID(tt.id)
		if (err == nil) != tt.ok {
			t.Errorf("CheckID(%q) = %v, want ok %v", tt.id, err, tt.ok)
		}
		var bad *IDError
		if err != nil && (!errors.As(err, &bad) || bad.ID != tt.id || bad.Reason == "" || err.Error() == "") {
			t.Errorf("CheckID(%q): %#v is not a full IDError", tt.id, err)
		}
	}
	if err := CheckID("a/.eml"); err == nil || !strings.HasSuffix(err.Error(), `octet 2, "/", is not allowed`) {
		t.Errorf("%v", err)
	}
}

func TestNewID(t *testing.T) {
	now := time.Date(2026, 11, 23, 21, 4, 13, 123456789, time.FixedZone("", 3600))
	seen, ends := map[string]bool{}, map[string]bool{}
	for range 1000 {
		id := NewID(now)
		if err := CheckID(id); err != nil {
			t.Fatal(err)
		}
		random, ok := strings.CutPrefix(id, "20261123T200413.123456Z-")
		if !ok || len(random) != 16 || strings.Trim(random, idLetters) != "" {
			t.Fatalf("NewID = %q", id)
		}
		if seen[id] {
			t.Fatalf("%q twice", id)
		}
		seen[id] = true
		ends[random[13:]] = true
	}
	if len(ends) < 100 {
		t.Errorf("1000 ids have %d endings: the last bits are not random", len(ends))
	}
	if a, b := NewID(now), NewID(now.Add(time.Microsecond)); a >= b {
		t.Errorf("%q does not sort before the later %q", a, b)
	}
}
