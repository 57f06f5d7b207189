//go:build system

package delivery

import (
	"regexp"
	"slices"
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

	// The one line of shell that the document promises.
	const script = `umask 027 && t=$(mktemp "$0/tmp/drop.XXXXXX") && printf %s "$1" >"$t" && chmod 640 "$t" && ` +
		`ln "$t" "$0/new/daily.mail" && rm "$t"`
	const to = "To: Ann <ann@system.test>,\n bob@system.test\nCc: carl@system.test\n"
	const own = "Date: Mon, 23 Nov 2026 20:00:00 +0000\nMessage-ID: <own@client.test>\n"
	const body = "\nbody\n.\nBcc: not a header\n"
	for i, drop := range []struct{ sender, fields string }{
		{"cron@client.test", own},
		{"again@client.test", ""}, // the same name again, as from cron every day; smapd adds what is missing
	} {
		head := "From: \"Cron, the\" <" + drop.sender + ">\n" + to
		text := head + "Bcc: dora@system.test,\n\temil@system.test\nSubject: x\n" + drop.fields + body
		if out, err := kit.As(t, who.Uid, kit.GroupID(t, kit.Feeders), "/bin/sh", "-c", script, s.Spool, text); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		calls := agent.Wait(i+1, 20*time.Second)
		n := slices.IndexFunc(calls, func(c kit.Call) bool { return c.Sender() == drop.sender })
		if n < 0 {
			t.Fatalf("no call for %s", drop.sender)
		}
		fields, ok := strings.CutPrefix(calls[n].Content, head+"Subject: x\n")
		fields, end := strings.CutSuffix(fields, body)
		if !ok || !end || drop.fields != "" && fields != drop.fields || drop.fields == "" && !addedFields(fields) {
			t.Errorf("content %q", calls[n].Content)
		}
		want := "ann@system.test bob@system.test carl@system.test dora@system.test emil@system.test"
		if got := strings.Join(calls[n].Recipients(), " "); got != want {
			t.Errorf("recipients %s", got)
		}
		if !kit.Eventually(10*time.Second, func() bool { return s.Count("new") == 0 }) {
			t.Fatalf("left in new/: %v", s.Names("new"))
		}
	}
	s.Empty()
}

// addedFields tells whether these are the Date of about now and the Message-ID that smapd adds.
func addedFields(text string) bool {
	m := regexp.MustCompile(`^Date: (.*)\nMessage-ID: <\d{8}T\d{6}\.\d{6}Z-[a-z0-9]+@[^<>@ ]+>\n$`).FindStringSubmatch(text)
	if m == nil {
		return false
	}
	at, err := time.Parse("Mon, 02 Jan 2006 15:04:05 +0000", m[1])
	return err == nil && time.Since(at).Abs() < 10*time.Minute
}
