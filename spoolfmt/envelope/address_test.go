package envelope

import (
	"errors"
	"strings"
	"testing"
)

// labels is a domain of that many octets, in labels of at most 63.
func labels(octets int) string {
	d := strings.Repeat(strings.Repeat("d", 63)+".", octets/64+1)[:octets]
	if strings.HasSuffix(d, ".") {
		d = d[:octets-1] + "d"
	}
	return d
}

func TestCheckAddress(t *testing.T) {
	local := func(n int) string { return strings.Repeat("l", n) }
	tests := []struct {
		address string
		ok      bool
	}{
		{"a@example.com", true},
		{"postmaster", true},
		{"a.b+c@example.com", true},
		{"!#$%&'*+/=?^_`{|}~-@example.com", true},
		{`"a b"@example.com`, true},
		{`"a\"b\\c>d@e"@example.com`, true},
		{`""@example.com`, true},
		{`"quoted"`, true},
		{"jörg@exämple.com", true},
		{"a@[192.0.2.1]", true},
		{"a@[IPv6:2001:db8::1]", true},
		{`a@[!";,:()]`, true},
		{"a@_dmarc.example.com", true},
		{"a@x-y.example", true},
		{"a@1.2", true},
		{"a-b@c", true},
		{"a/b@c", true},
		{"a|b@c", true},

		{"", false},
		{"@example.com", false},
		{"a@", false},
		{`"a"@`, false},
		{"a@b@c", false},
		{"a b@c", false},
		{".a@b", false},
		{"a.@b", false},
		{"a..b@c", false},
		{"a.", false},
		{"a@b.", false},
		{"a@.b", false},
		{"a@b..c", false},
		{"a@-b", false},
		{"a@b-", false},
		{"a@b-.c", false},
		{"a@b c", false},
		{"a@b/c", false},
		{"a@[]", false},
		{"a@[x>y]", false},
		{"a@[x<y]", false},
		{"a@[x@y]", false},
		{"a@[1", false},
		{"a@[1]x", false},
		{"a@[1 2]", false},
		{"a@[[1]]", false},
		{`a@[1\2]`, false},
		{"a@[ä]", false},
		{`"a`, false},
		{`"a\`, false},
		{`"a\"`, false},
		{`"a"b@c`, false},
		{`a"b"@c`, false},
		{`"a\ä"@c`, false},
		{"<a@b>", false},
		{"@x:a@b", false},
		{"a,b@c", false},
		{"a:b@c", false},
		{"a(b)@c", false},
		{"a\n@b", false},
		{"a\r@b", false},
		{"a\x00@b", false},
		{"a\t@b", false},
		{"a\x7f@b", false},
		{"a\u0085@b", false},
		{"a\u009f@b", false},
		{"a\u00a0@b", true},
		{"a\xff@b", false},
		{"a\xc0\xaf@b", false},     // overlong
		{"a\xed\xa0\x80@b", false}, // surrogate
		{"a@b\xe2\x82", false},
		{"\xffa@b", false},
		{"\u00c0@b", true}, // its second octet is 0x80
		{"a@\u00c0.test", true},
		{`"a"bc`, false},
		{"a@[12", false},
		{"a@[~]", true},

		{local(MaxLocalPart) + "@b", true},
		{local(MaxLocalPart+1) + "@b", false},
		{local(MaxLocalPart), true},
		{local(MaxLocalPart + 1), false},
		{"a@" + labels(MaxDomain), true},
		{"a@" + labels(MaxDomain+1), false},
		{"a@" + strings.Repeat("d", 63), true},
		{"a@" + strings.Repeat("d", 64), false},
		{local(MaxLocalPart) + "@" + labels(MaxDomain), true}, // 512
		{"a@[" + strings.Repeat("x", MaxAddress-4) + "]", true},
		{"a@[" + strings.Repeat("x", MaxAddress-3) + "]", false},
	}
	for _, tt := range tests {
		err := CheckAddress(tt.address)
		if (err == nil) != tt.ok {
			t.Errorf("CheckAddress(%q) = %v, want ok %v", tt.address, err, tt.ok)
		}
		// What is an address is a path, and the other way round.
		p, perr := ParsePath("<" + tt.address + ">")
		if tt.address != "" && (perr == nil) != tt.ok {
			t.Errorf("ParsePath(<%s>) = %v, want ok %v", tt.address, perr, tt.ok)
		}
		if perr == nil && p.Address != tt.address {
			t.Errorf("ParsePath(<%s>) has address %q", tt.address, p.Address)
		}
		var bad *AddressError
		if err == nil {
			continue
		}
		if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > len(tt.address) || bad.Reason == "" || bad.Dangerous() {
			t.Errorf("CheckAddress(%q): %#v", tt.address, err)
		}
		if i := badText(err.Error()); i >= 0 {
			t.Errorf("CheckAddress(%q): its message has a control character: %q", tt.address, err)
		}
	}
}

func TestDangerousAddress(t *testing.T) {
	for _, local := range []string{
		"-oQ/tmp", `"-x"`, `"\-x"`, "|sh", `"|sh -c id"`, `"\|sh"`, "/etc/passwd", `"/a"`, `"\/a"`,
		`":include:/etc/passwd"`, `":INCLUDE:/a"`, `"\:in\clude:/a"`,
	} {
		for _, a := range []string{local, local + "@example.com"} {
			var bad *AddressError
			if err := CheckAddress(a); !errors.As(err, &bad) || !bad.Dangerous() {
				t.Errorf("CheckAddress(%q) = %v, want it dangerous", a, err)
			}
			if _, err := New(Path{Address: a}, []Path{{Address: "b"}}); err == nil {
				t.Errorf("New takes %q as sender", a)
			}
			if _, err := New(Path{}, []Path{{Address: a}}); err == nil {
				t.Errorf("New takes %q as recipient", a)
			}
		}
	}
	for _, a := range []string{`" -x"`, `"\"-x"`, `":includ"`, `":include"`} {
		if err := CheckAddress(a); err != nil {
			t.Errorf("CheckAddress(%q) = %v", a, err)
		}
	}
}

func TestSplitAddress(t *testing.T) {
	tests := []struct{ address, local, domain, plain string }{
		{"a@b", "a", "b", "a"},
		{"a", "a", "", "a"},
		{`"a@b"@c`, `"a@b"`, "c", "a@b"},
		{`"a\"b\\"@[::1]`, `"a\"b\\"`, "[::1]", `a"b\`},
		{`""@c`, `""`, "c", ""},
		{"a b@c", "a b@c", "", "a b@c"}, // not an address
		{`a\`, `a\`, "", `a\`},
	}
	for _, tt := range tests {
		local, domain := SplitAddress(tt.address)
		if local != tt.local || domain != tt.domain {
			t.Errorf("SplitAddress(%q) = %q, %q, want %q, %q", tt.address, local, domain, tt.local, tt.domain)
		}
		if got := UnquoteLocal(local); got != tt.plain {
			t.Errorf("UnquoteLocal(%q) = %q, want %q", local, got, tt.plain)
		}
	}
}

// A person counts octets from 1.
func TestAddressErrorPlace(t *testing.T) {
	for _, tt := range []struct{ address, place string }{
		{"ab\x01@c", "octet 3"},
		{"a b@c", "octet 2"},
		{"a@b c", "octet 4"},
		{"a@[1 2]", "octet 5"},
	} {
		if err := CheckAddress(tt.address); err == nil || !strings.HasSuffix(err.Error(), tt.place) {
			t.Errorf("CheckAddress(%q) = %v, want %s", tt.address, err, tt.place)
		}
	}
}
