package dsn

import (
	"bytes"
	"strings"
	"testing"

	"smap/spoolfmt/envelope"
)

// FuzzReportFields: no parameter and no text of a server adds a line to the part
// for programs.
func FuzzReportFields(f *testing.F) {
	f.Add("x+0Ay", "rfc822;a+0D+0Ab", "no\r\nEvil: 1", "mx\nEvil: 1")
	f.Add("+", "utf-8;ü", "ü\u2028x", "\x00")
	f.Fuzz(func(t *testing.T, envid, orcpt, text, remote string) {
		r := &Report{Host: "host.test", Sender: envelope.Path{Address: "a@x.test", Params: params("ENVID=" + envid)},
			Recipients: []Recipient{{Path: envelope.Path{Address: "b@x.test", Params: params("ORCPT=" + orcpt)}, Action: Failed, Status: "5.0.0", Text: text, Remote: remote}}}
		if envelope.CheckSenderParams(r.Sender.Params) != nil || envelope.CheckRecipientParams(r.Recipients[0].Path.Params) != nil {
			return // an envelope with these is malformed
		}
		var out bytes.Buffer
		r.fields(&out)
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		for _, line := range lines {
			name, _, ok := strings.Cut(line, ": ")
			known := strings.Contains(" Reporting-MTA Original-Envelope-Id Arrival-Date Original-Recipient Final-Recipient Action Status Remote-MTA Diagnostic-Code Last-Attempt-Date ", " "+name+" ")
			if line != "" && (!ok || !known) || strings.ContainsAny(line, "\r\x00") {
				t.Errorf("a line %q in %q", line, out.String())
			}
		}
		if n := strings.Count(out.String(), "\n\n"); n != 1 {
			t.Errorf("%d blocks in %q", n+1, out.String())
		}
	})
}

func params(list ...string) []envelope.Param {
	var out []envelope.Param
	for _, s := range list {
		k, v, has := strings.Cut(s, "=")
		out = append(out, envelope.Param{Keyword: k, Value: v, HasValue: has})
	}
	return out
}
