package envelope

import (
	"slices"
	"strings"
	"testing"
)

// FuzzAddress: what is an address is a path of just that address, in an
// envelope, in an outcome, and in a header's angle brackets; and nothing else is.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"", "a", "a@b", `"a b"@c`, `"\"> "@d`, "a@[x>y]", "a@[1]", "ä@ö", "-x", `":include:"`, "a@b> X=1", "a\n", "a@[\x22]", "a..b", "a@b-",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		bad := CheckAddress(address)
		p, err := ParsePath("<" + address + ">")
		if bad == nil && (err != nil || p.Address != address || p.Params != nil) {
			t.Fatalf("address %q as path: %+v, %v", address, p, err)
		}
		e, err := New(Path{}, []Path{{Address: address}})
		if (err == nil) != (bad == nil) {
			t.Fatalf("address %q: %v, as recipient: %v", address, bad, err)
		}
		if bad != nil {
			if i := badText(bad.Error()); i >= 0 || len(bad.Error()) > 1000 {
				t.Fatalf("unfit for a log: %q", bad)
			}
			return
		}
		if err := e.SetOutcome(address, Outcome{Status: StatusDelivered}); err != nil || len(e.Pending()) != 0 {
			t.Fatalf("outcome of %q: %v", address, err)
		}
		e.SetSize(0)
		data, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(data)
		if err != nil || len(again.Pending()) != 0 || again.Recipients()[0].Address != address {
			t.Fatalf("%q: %v", data, err)
		}
		local, domain := SplitAddress(address)
		if domain != "" {
			local += "@" + domain
		}
		if local != address {
			t.Fatalf("%q split is %q", address, local)
		}
		if strings.ContainsAny(address, "\r\n\x00") {
			t.Fatalf("%q", address)
		}
		got, err := ParseAddressList("x <" + address + ">")
		if !strings.ContainsAny(address, "[(") && (err != nil || len(got) != 1 || got[0] != address) {
			t.Fatalf("%q in a header: %q, %v", address, got, err)
		}
	})
}

// FuzzAddressList: what comes out of a list are addresses, and a list of them in
// angle brackets is read as the same ones.
func FuzzAddressList(f *testing.F) {
	for _, s := range []string{
		"a@b", "a, b c <d@e>", `"x, y" <a@b>, z:c@d, <@r:e@f>;`, "a (b (c) \\) d) @ e", "<a@[1,2;3]>", "[x]: a;", "a . b", "<a b>", "x:;,",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		list, err := ParseAddressList(value)
		if err != nil {
			if list != nil {
				t.Fatalf("%q beside %v", list, err)
			}
			return
		}
		for _, a := range list {
			if err := CheckAddress(a); err != nil {
				t.Fatal(err)
			}
		}
		if len(list) == 0 {
			return
		}
		again, err := ParseAddressList("x <" + strings.Join(list, ">, (y) <") + ">")
		if err != nil || !slices.Equal(list, again) {
			t.Fatalf("%q is %q, and then %q: %v", value, list, again, err)
		}
	})
}
