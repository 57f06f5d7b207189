package envelope

import (
	"errors"
	"slices"
	"testing"
)

func TestAddressList(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  []string // nil: an error
	}{
		{"", []string{}},
		{" , ,, ", []string{}},
		{"a@b", []string{"a@b"}},
		{"a@b, c@d,", []string{"a@b", "c@d"}},
		{"root", []string{"root"}},
		{"Ann <a@b>", []string{"a@b"}},
		{"Ann M. Other (x, y) <a@b> (z)", []string{"a@b"}},
		{`"Other, Ann" <a@b>, "x\",y" <c@d>`, []string{"a@b", "c@d"}},
		{`"a b"@c`, []string{`"a b"@c`}},
		{`"a,b"@c, d`, []string{`"a,b"@c`, "d"}},
		{"a . b @ c . d", []string{"a.b@c.d"}},
		{"a(x).(y(z))b@c", []string{"a.b@c"}},
		{`(a \) b) c@d`, []string{"c@d"}},
		{"a@[192.0.2.1], b@c", []string{"a@[192.0.2.1]", "b@c"}},
		{"<a@b>", []string{"a@b"}},
		{"< a (x) @ b >", []string{"a@b"}},
		{`<"a > b"@c>`, []string{`"a > b"@c`}},
		{"<@x,@y:a@b>", []string{"a@b"}},
		{"x: a@b, c@d;", []string{"a@b", "c@d"}},
		{"undisclosed-recipients:;", []string{}},
		{"x y:;, a@b", []string{"a@b"}},
		{`"x": A <a@b>;, c@d`, []string{"a@b", "c@d"}},
		{"=?utf-8?q?J=C3=B6rg?= <j@b>", []string{"j@b"}},
		{"J\xf6rg <j@b>", []string{"j@b"}}, // not UTF-8, and no part of the address
		{"jörg@exämple.com", []string{"jörg@exämple.com"}},

		{"a b", nil},
		{"a@b c@d", nil},
		{"a (x) b", nil},
		{"a(x)b", nil},
		{`"a" b`, nil},
		{"<a@b> c", nil},
		{"<a@b> <c@d>", nil},
		{"<a@b", nil},
		{"a@b>", nil},
		{"<>", nil},
		{"Ann <>", nil},
		{"<<a>>", nil},
		{"(a", nil},
		{"a)", nil},
		{`"a`, nil},
		{`"a\"`, nil},
		{"a@[b", nil},
		{"a@b]", nil},
		{`a\@b`, nil},
		{"<a;b>", nil},
		{"<a(b>", nil},
		{`<"a>`, nil},
		{"x: a@b", nil},
		{"x: y: a@b;", nil},
		{":a@b;", nil},
		{"A <a@b>: c;", nil},
		{"x: a b;", nil},
		{"x: -x@b;", nil},
		{"<x:a@b>", nil},
		{`"a"b`, nil},
		{`a"b"@c`, nil},
		{"a[1]", nil},
		{"a@b;", nil},
		{"<a@b>: c;", nil},
		{"<@x>", nil},
		{"a@", nil},
		{"-x@b", nil},
		{"<|sh>", nil},
		{`"/etc/passwd"@b`, nil},
		{"j\xf6rg@b", nil},
		{"a\x01@b", nil},
	} {
		got, err := ParseAddressList(tt.value)
		if tt.want == nil {
			if err == nil || got != nil {
				t.Errorf("%q: %q, %v, want an error", tt.value, got, err)
			}
			continue
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, %v, want %q", tt.value, got, err, tt.want)
		}
	}
}

func TestAddressListErrors(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  error
	}{
		{"<a@b", errUnclosed},
		{`<"a>`, errUnclosed},
		{"<a(b>", errUnclosed},
		{"<a@b> <c@d>", errTwoAngles},
		{"<a@b> c", errTwoAngles},
		{"a(x)b", errTwoWords},
		{"x: a@b", errGroup},
	} {
		if _, err := ParseAddressList(tt.value); !errors.Is(err, tt.want) {
			t.Errorf("%q: %v, want %v", tt.value, err, tt.want)
		}
	}
	if _, err := ParseAddressList("<a;b>"); err == nil || err.Error() != errMisplaced(";").Error() {
		t.Errorf("<a;b>: %v", err)
	}
}
