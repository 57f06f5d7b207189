//go:build system

package delivery

import (
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

func TestShellFeeders(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewRecorder(t, s)
	who := kit.NewPerson(t, s.Dir, "smt-feeder")
	s.Rules("smapd: log stderr", "smapd: sendmail "+agent.Program)
	kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)

	const shells, count = 8, 63
	kit.FeedShells(t, s, who, shells, count)
	seen := map[string]int{}
	for _, c := range agent.Wait(shells*count, 2*time.Minute) {
		kit.Matching(t, seen, c.Sender(), c.Content)
		if got := strings.Join(c.Recipients(), " "); got != "bob@system.test" {
			t.Errorf("recipients %s", got)
		}
	}
	s.Empty()
}

func TestMailDrop(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewRecorder(t, s)
	who := kit.NewPerson(t, s.Dir, "smt-dropper")
	s.Rules("smapd: log stderr", "smapd: sendmail "+agent.Program)
	kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)

	const head = "From: \"Cron, the\" <cron@client.test>\nTo: Ann <ann@system.test>,\n bob@system.test\nCc: carl@system.test\n"
	const body = "Subject: x\n\nbody\n.\nBcc: not a header\n"
	text := head + "Bcc: dora@system.test,\n\temil@system.test\n" + body
	// The one line of shell that the document promises.
	const script = `umask 027 && t=$(mktemp "$0/tmp/drop.XXXXXX") && printf %s "$1" >"$t" && chmod 640 "$t" && ` +
		`ln "$t" "$0/new/daily.mail" && rm "$t"`
	for i := range 2 { // the same name again, as from cron every day
		if out, err := kit.As(t, who.Uid, kit.GroupID(t, kit.Feeders), "/bin/sh", "-c", script, s.Spool, text); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		calls := agent.Wait(i+1, 20*time.Second)
		c := calls[i]
		if c.Content != head+body {
			t.Errorf("content %q", c.Content)
		}
		if c.Sender() != "cron@client.test" {
			t.Errorf("sender %q", c.Sender())
		}
		want := "ann@system.test bob@system.test carl@system.test dora@system.test emil@system.test"
		if got := strings.Join(c.Recipients(), " "); got != want {
			t.Errorf("recipients %s", got)
		}
		if !kit.Eventually(10*time.Second, func() bool { return s.Count("new") == 0 }) {
			t.Fatalf("left in new/: %v", s.Names("new"))
		}
	}
	s.Empty()
}
