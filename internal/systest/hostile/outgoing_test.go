//go:build system

package hostile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestNothingSmuggled drops contents that try to end their message early. Those that the format forbids are set aside;
// all others reach a server of SMTP or LMTP as the one message that they are, octet for octet.
func TestNothingSmuggled(t *testing.T) {
	t.Parallel()
	const second = "MAIL FROM:<evil@client.test>\nRCPT TO:<victim@system.test>\nDATA\nSubject: smuggled\n\nevil\n.\nQUIT\n"
	allowed := map[string]string{
		"lone-dot":   ".\n" + second,
		"dots":       "\n..\n.\n...\n" + second,
		"begin":      ".\n.\n.\n",
		"no-end":     "\n.\n" + second + ".",
		"no-end-dot": "Subject: x\n\nends in a dot\n.",
		"only-dot":   ".",
		"empty":      "",
		"lines":      "\n\n\n.\n\n",
		"long":       "\n" + strings.Repeat("x", 40000) + "\n.\n" + second, // across the buffers
		"boundary":   strings.Repeat("x", 32<<10-1) + "\n.\n" + second,     // a dot that begins a buffer
		"8-bit":      "\n\u0085.\u0085\n\u2028.\u2028\n" + second,
	}
	forbidden := map[string]string{
		"cr": "\r.\r" + second, "cr-dot-lf": "\n\r.\n" + second, "lf-dot-cr": "\n.\r" + second, "crlf": "\r\n.\r\n" + second,
		"cr-cr-lf": "\r\r\n.\r\r\n" + second, "nul": "\n.\x00\n" + second, "cr-end": "text\r", "nul-cr": "\x00\r\n.\n",
	}
	for _, protocol := range []string{"smtp", "lmtp"} {
		t.Run(protocol, func(t *testing.T) {
			s := kit.NewSite(t)
			sink := kit.NewSink(t, protocol == "lmtp")
			s.Rules("smapd: log stderr", "smapd: badadmin none", "smapd: agent "+protocol+" "+sink.Addr)
			own, other := kit.OwnFeeder(t, s.Spool), kit.OtherFeeder(t, s.Spool)
			for name, content := range allowed {
				own.Commit("own-"+name, "own-"+name+"@client.test", content, "bob@system.test")
				other.Commit("other-"+name, "other-"+name+"@client.test", content, "bob@system.test")
			}
			for name, content := range forbidden {
				other.Commit("bad-"+name, "bad-"+name+"@client.test", content, "bob@system.test")
			}
			kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
			s.Drained(30 * time.Second)
			for name := range forbidden {
				if why := s.Field("bad", "bad-"+name, "Set-Aside"); !strings.Contains(why, "CR") && !strings.Contains(why, "NUL") {
					t.Errorf("%s: Set-Aside %q", name, why)
				}
			}
			got := map[string]string{}
			for _, m := range sink.Messages() {
				sender, _, _ := strings.Cut(strings.TrimPrefix(m.Mail, "<"), "@")
				if _, twice := got[sender]; twice || fmt.Sprint(m.Rcpt) != "[<bob@system.test>]" {
					t.Errorf("%s came again, or for %v", sender, m.Rcpt)
				}
				got[sender] = m.Content
			}
			for name, content := range allowed {
				if content != "" && !strings.HasSuffix(content, "\n") {
					content += "\n"
				}
				for _, who := range []string{"own-", "other-"} {
					if text, came := got[who+name]; !came || text != content {
						t.Errorf("%s%s came %t as %q, want %q", who, name, came, kit.Head(text, 200), kit.Head(content, 200))
					}
				}
			}
			if len(got) != 2*len(allowed) {
				t.Errorf("%d messages came, want %d", len(got), 2*len(allowed))
			}
		})
	}
}
