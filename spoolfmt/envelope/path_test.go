package envelope

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	tests := []struct {
		value   string
		address string
		params  []Param
	}{
		{"<>", "", nil},
		{"<a@b>", "a@b", nil},
		{`<"a>b \"> c"@d> X`, `"a>b \"> c"@d`, []Param{{"X", "", false}}},
		{`<a@[x"y]> X`, `a@[x"y]`, []Param{{"X", "", false}}},
		{"<a@b> BODY=8BITMIME SMTPUTF8", "a@b", []Param{{"BODY", "8BITMIME", true}, {"SMTPUTF8", "", false}}},
		{"<> x-1=<>;,ä", "", []Param{{"x-1", "<>;,ä", true}}},
		{"<a> 8BIT", "a", []Param{{"8BIT", "", false}}},
	}
	for _, tt := range tests {
		p, err := ParsePath(tt.value)
		if err != nil {
			t.Errorf("ParsePath(%q): %v", tt.value, err)
			continue
		}
		if p.Address != tt.address || !slices.Equal(p.Params, tt.params) {
			t.Errorf("ParsePath(%q) = %+v", tt.value, p)
		}
		if p.String() != tt.value {
			t.Errorf("%q is written as %q", tt.value, p.String())
		}
	}
}

func TestParsePathErrors(t *testing.T) {
	tests := []struct {
		value  string
		offset int
	}{
		{"", 0},
		{"a@b", 0},
		{"<", 1},
		{"<a@b", 4},
		{`<"a>`, 4},
		{`<"a\">`, 6},
		{"<a@[b>", 5},
		{"<a@[x>y]>", 5},
		{"<a b>", 2},
		{"<@x:a@b>", 1},
		{"<a@b>x", 5},
		{"<a@b> ", 6},
		{"<a@b>  X", 6},
		{"<a@b> X ", 8},
		{"<a@b> X=", 6},
		{"<a@b> =1", 6},
		{"<a@b> -X", 6},
		{"<a@b> X_Y", 6},
		{"<a@b> X=a=b", 6},
		{"<a@b> X=a\tb", 6},
		{"<a@b> X=\u0085", 6},
		{"<a@b> X=\xff", 6},
		{"<a@b> X x", 8},
		{"<a@b> X=1 Y x=2", 12},
	}
	for _, tt := range tests {
		p, err := ParsePath(tt.value)
		if err == nil || offset(err) != tt.offset || p.Address != "" || p.Params != nil {
			t.Errorf("ParsePath(%q) = %+v, %v at %d, want an error at %d", tt.value, p, err, offset(err), tt.offset)
		}
	}
}

func TestManyParams(t *testing.T) {
	var b strings.Builder
	b.WriteString("<a>")
	for i := range MaxParams - 1 {
		fmt.Fprintf(&b, " K%d", i)
	}
	p, err := ParsePath(b.String())
	if err != nil || len(p.Params) != MaxParams-1 {
		t.Fatalf("%d parameters: %v", len(p.Params), err)
	}
	for _, again := range []string{"k0", "k7", "k30"} {
		if _, err := ParsePath(b.String() + " " + again); err == nil {
			t.Errorf("%s a second time is accepted", again)
		}
	}
}

func TestPathParam(t *testing.T) {
	p, err := ParsePath("<a> ReT=Hdrs X")
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := p.Param("RET"); v != "Hdrs" || !ok {
		t.Errorf("RET = %q, %v", v, ok)
	}
	if v, ok := p.Param("x"); v != "" || !ok {
		t.Errorf("X = %q, %v", v, ok)
	}
	if _, ok := p.Param("Y"); ok {
		t.Error("Y is there")
	}
}

func TestKnownParams(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		recipient bool
		param     string
		ok        bool
	}{
		{false, "BODY=7BIT", true},
		{false, "body=8bitmime", true},
		{false, "BODY=BinaryMIME", true},
		{false, "BODY=9BIT", false},
		{false, "BODY", false},
		{false, "RET=FULL", true},
		{false, "RET=hdrs", true},
		{false, "RET=HDRſ", false}, // folds to S
		{false, "RET=BOTH", false},
		{false, "SMTPUTF8", true},
		{false, "SMTPUTF8=1", false},
		{false, "ENVID=" + x(100), true},
		{false, "ENVID=" + x(101), false},
		{false, "ENVID", false},
		{false, "ENVID=a+2Bb", true},
		{false, "ENVID=a+2b", false},
		{false, "ENVID=a+2", false},
		{false, "ENVID=a+", false},
		{false, "ENVID=ä", false},
		{false, "X-OTHER=anything", true},
		{false, "NOTIFY=anything", true}, // not a sender's
		{true, "NOTIFY=NEVER", true},
		{true, "NOTIFY=never", true},
		{true, "NOTIFY=SUCCESS", true},
		{true, "NOTIFY=success,Failure,DELAY", true},
		{true, "NOTIFY=DELAY,SUCCESS", true},
		{true, "NOTIFY=ſUCCESS", false},
		{true, "NOTIFY=SUCCESS,SUCCESS", false},
		{true, "NOTIFY=NEVER,DELAY", false},
		{true, "NOTIFY=SUCCESS,", false},
		{true, "NOTIFY=,", false},
		{true, "NOTIFY", false},
		{true, "ORCPT=rfc822;a@b", true},
		{true, "ORCPT=rfc822;a+40b", true},
		{true, "ORCPT=rfc822;", false},
		{true, "ORCPT=;a", false},
		{true, "ORCPT=rfc822", false},
		{true, "ORCPT", false},
		{true, "ORCPT=rfc822;a+4", false},
		{true, "ORCPT=räc;a", false},
		{true, "ORCPT=a(b;a", false},
		{true, "ORCPT=rfc822;ä", false},
		{true, "ORCPT=utf-8;ä@b", true},
		{true, "ORCPT=utf-8;", false},
		{true, "ORCPT=rfc822;" + x(500-7), true},
		{true, "ORCPT=rfc822;" + x(500-6), false},
		{true, "RET=anything", true}, // not a recipient's
	}
	for _, tt := range tests {
		p, err := ParsePath("<a@b> " + tt.param)
		if err != nil {
			t.Errorf("%s: %v", tt.param, err)
			continue
		}
		check := CheckSenderParams
		if tt.recipient {
			check = CheckRecipientParams
		}
		if err := check(p.Params); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %v", tt.param, err, tt.ok)
		}
		// An envelope refuses the same.
		sender, recipient := p, Path{Address: "a"}
		if tt.recipient {
			sender, recipient = recipient, sender
		}
		if _, err := New(sender, []Path{recipient}); (err == nil) != tt.ok {
			t.Errorf("New with %s: %v, want ok %v", tt.param, err, tt.ok)
		}
	}
}

// What is put together must not be read as something else.
func TestXtext(t *testing.T) {
	for s, want := range map[string]bool{
		"!~": true, "+00+99+AA+FF": true, strings.Repeat("x", 12): true,
		"": false, " ": false, "\x7f": false, "a=b": false, "\u00e4": false, strings.Repeat("x", 13): false,
		"+": false, "+A": false, "+G0": false, "+0G": false, "+@0": false, "+0@": false, "+/0": false, "+:0": false, "+a0": false,
	} {
		if got := isXtext(s, 12); got != want {
			t.Errorf("isXtext(%q) = %v", s, got)
		}
	}
}

func TestNewInjection(t *testing.T) {
	good := []Path{{Address: "a@b"}}
	for _, p := range []Path{
		{Address: "> X=1"},
		{Address: "a@b> X=1"},
		{Address: "a@b>\nRecipient: <c@d"},
		{Address: "a@b", Params: []Param{{"X=1 Y", "2", true}}},
		{Address: "a@b", Params: []Param{{"X", "1 Y=2", true}}},
		{Address: "a@b", Params: []Param{{"X=1", "", false}}},
		{Address: "a@b", Params: []Param{{"X", "", true}}},
		{Address: "a@b", Params: []Param{{"X", "lost", false}}},
		{Address: "a@b", Params: []Param{{"X", "1\nSize: 0", true}}},
	} {
		if e, err := New(p, good); err == nil {
			t.Errorf("sender %+v became %v", p, e.Sender())
		}
		if e, err := New(Path{}, []Path{p}); err == nil {
			t.Errorf("recipient %+v became %v", p, e.Recipients())
		}
	}
	if _, err := New(Path{}, []Path{{}}); err == nil {
		t.Error("the null path is taken as a recipient")
	}
	if _, err := New(Path{}, nil); !errors.Is(err, errNoRecipient) {
		t.Errorf("no recipient: %v", err)
	}
}
