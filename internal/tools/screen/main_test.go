package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

func TestDraw(t *testing.T) {
	var out strings.Builder
	if err := draw(strings.NewReader("\x1b[1mID\x1b[0m <a&b>\n\x1b[31mbad\x1b[39m ok\n\n \n"), &out); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for _, want := range []string{`<tspan font-weight="bold">ID</tspan><tspan> &lt;a&amp;b&gt;</tspan>`, `<tspan fill="#ff7b72">bad</tspan><tspan> ok</tspan>`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "<text"); n != 2 {
		t.Errorf("%d lines", n)
	}
	d := xml.NewDecoder(strings.NewReader(got))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
