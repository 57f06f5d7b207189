package spoolfmt

import (
	"strings"
	"testing"

	"smap/spoolfmt/envelope"
)

func TestSplitName(t *testing.T) {
	tests := []struct {
		name, id string
		kind     Kind
	}{
		{"x.eml", "x", KindContent},
		{"x.envelope", "x", KindEnvelope},
		{"x.mail", "x", KindDrop},
		{"x.y.eml", "x.y", KindContent},
		{"x", "", KindOther},
		{".eml", "", KindOther},
		{".x.eml", "", KindOther},
		{"x.eml.mail", "", KindOther},
		{"x.EML", "", KindOther},
		{"a/b.eml", "", KindOther},
		{"", "", KindOther},
		{strings.Repeat("x", envelope.MaxID) + ".envelope", strings.Repeat("x", envelope.MaxID), KindEnvelope},
		{strings.Repeat("x", envelope.MaxID+1) + ".eml", "", KindOther},
	}
	for _, tt := range tests {
		id, kind := SplitName(tt.name)
		if id != tt.id || kind != tt.kind {
			t.Errorf("SplitName(%q) = %q, %d, want %q, %d", tt.name, id, kind, tt.id, tt.kind)
		}
		if kind != KindOther && id+kind.Suffix() != tt.name {
			t.Errorf("%q: %q and %q do not make the name", tt.name, id, kind.Suffix())
		}
	}
}
