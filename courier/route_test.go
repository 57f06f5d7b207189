package courier

import "testing"

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern   string
		yes, no   []string
		malformed bool
	}{
		{pattern: "ann@example.com", yes: []string{"ann@example.com", "Ann@EXAMPLE.com", `"ann"@example.com`}, no: []string{"ann", "bob@example.com", "ann@x.example.com", "joann@example.com"}},
		{pattern: "ann@", yes: []string{"ann", "ANN@example.com", "ann@x.test"}, no: []string{"anna", "joann@x.test"}},
		{pattern: "ann+*@example.com", yes: []string{"ann+@example.com", "Ann+x@example.com"}, no: []string{"ann@example.com", "ann+x@x.test"}},
		{pattern: "ann+*@", yes: []string{"ann+x", "ann+x@x.test"}, no: []string{"ann"}},
		{pattern: "example.com", yes: []string{"a@example.com", "a@Example.COM"}, no: []string{"a@x.example.com", "example.com", "a@anexample.com"}},
		{pattern: ".example.com", yes: []string{"a@example.com", "a@b.c.example.com"}, no: []string{"a@anexample.com", "a@example.com.x"}},
		{pattern: "*@example.com", yes: []string{"a@example.com"}, no: []string{"a@x.test"}},
		{pattern: "é@example.com", yes: []string{"é@example.com"}, no: []string{"É@example.com", "e@example.com"}},
		{pattern: "", malformed: true},
		{pattern: "@example.com", malformed: true},
		{pattern: "a*b@example.com", malformed: true},
		{pattern: "*.example.com", malformed: true},
		{pattern: "a b@example.com", malformed: true},
		{pattern: "a@exa mple.com", malformed: true},
	} {
		p, err := ParsePattern(c.pattern)
		if c.malformed != (err != nil) {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		for _, a := range c.yes {
			if !p.Match(a) {
				t.Errorf("%q does not match %q", c.pattern, a)
			}
		}
		for _, a := range c.no {
			if p.Match(a) {
				t.Errorf("%q matches %q", c.pattern, a)
			}
		}
	}
}

// TestFirstRoute: the first route that matches decides.
func TestFirstRoute(t *testing.T) {
	b := newBench(t, nil)
	b.lane("one", nil, 1, "ann@example.com")
	b.lane("two", nil, 1, "example.com", "ann@")
	for address, want := range map[string]string{"ann@example.com": "one", "bob@example.com": "two", "ann@x.test": "two", "bob@x.test": ""} {
		if got := b.cfg.Lane(address); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}
