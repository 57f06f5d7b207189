//go:build system

package systest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// feedScript feeds messages as SPOOL-FORMAT.md says it for a shell: ln refuses to replace, and its status decides.
// Arguments: spool, number of messages, word that begins the ids, word that marks the messages.
const feedScript = `#!/bin/sh
set -eu
umask 027
spool=$1 count=$2 ids=$3 mark=$4
n=0
while [ "$n" -lt "$count" ]; do
	n=$((n + 1))
	content=$(mktemp "$spool/tmp/feed.XXXXXX")
	printf 'Subject: %s-%s\n\n.\nbody of %s-%s\n' "$mark" "$n" "$mark" "$n" >"$content"
	envelope=$(mktemp "$spool/tmp/feed.XXXXXX")
	printf 'Spool-Format: 1\nSender: <%s-%s@client.test>\nRecipient: <bob@system.test>\nSize: %d\n\n' \
		"$mark" "$n" "$(wc -c <"$content")" >"$envelope"
	chmod 640 "$content" "$envelope"
	id=$ids-$n try=0
	while :; do
		if [ ! -e "$spool/new/$id.envelope" ] && ln "$content" "$spool/new/$id.eml" 2>/dev/null; then
			ln "$envelope" "$spool/new/$id.envelope" 2>/dev/null && break
			rm "$spool/new/$id.eml"
		fi
		try=$((try + 1))
		id=$ids-$n-$mark-$try
	done
	rm "$content" "$envelope"
done
`

// drainScript takes messages until there are none for two seconds: who removes the envelope's name in new/ has won.
// Arguments: spool, directory for the taken ones.
const drainScript = `#!/bin/sh
set -eu
spool=$1 into=$2
idle=0
while [ "$idle" -lt 20 ]; do
	idle=$((idle + 1))
	for envelope in "$spool"/new/*.envelope; do
		[ -e "$envelope" ] || continue
		id=${envelope##*/}
		id=${id%.envelope}
		own=$(mktemp -d "$into/XXXXXX")
		if ! ln "$envelope" "$own/envelope" 2>/dev/null || ! rm "$envelope" 2>/dev/null; then
			rm -rf "$own"
			continue
		fi
		ln "$spool/new/$id.eml" "$own/content"
		rm "$spool/new/$id.eml"
		idle=0
	done
	sleep 0.1
done
`

// feedShells runs shells at once, each feeding count messages; the last two choose the same ids.
func feedShells(t *testing.T, s *site, who person, shells, count int) {
	t.Helper()
	script := s.write(s.file("feed"), feedScript, 0o755)
	group := groupID(t, feeders)
	var wg sync.WaitGroup
	for i := range shells {
		ids := fmt.Sprintf("shell%d", i)
		if i == shells-1 {
			ids = fmt.Sprintf("shell%d", i-1)
		}
		wg.Go(func() {
			out, err := as(t, who.uid, group, "/bin/sh", script, s.spool, fmt.Sprint(count), ids, fmt.Sprintf("mark%d", i))
			if err != nil || out != "" {
				t.Errorf("feeder %d: %v: %s", i, err, out)
			}
		})
	}
	wg.Wait()
}

// matching wants each message once, and every envelope with the content that was fed with it.
func matching(t *testing.T, seen map[string]int, sender, content string) {
	t.Helper()
	mark := strings.TrimSuffix(sender, "@client.test")
	if want := fmt.Sprintf("Subject: %s\n\n.\nbody of %s\n", mark, mark); content != want {
		t.Errorf("the envelope of %q came with %q", mark, content)
	}
	if seen[mark]++; seen[mark] > 1 {
		t.Errorf("%s was taken %d times", mark, seen[mark])
	}
}

func TestShellFeeders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := newRecorder(t, s)
	who := newPerson(t, s.dir, "smt-feeder")
	s.rules("smapd: log stderr", "smapd: sendmail "+agent.program)
	start(t, program(t, "smapd"), "-c", s.table)

	const shells, count = 8, 63
	feedShells(t, s, who, shells, count)
	seen := map[string]int{}
	for _, c := range agent.wait(shells*count, 2*time.Minute) {
		matching(t, seen, c.sender(), c.content)
		if got := strings.Join(c.recipients(), " "); got != "bob@system.test" {
			t.Errorf("recipients %s", got)
		}
	}
	s.empty()
}

func TestMailDrop(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := newRecorder(t, s)
	who := newPerson(t, s.dir, "smt-dropper")
	s.rules("smapd: log stderr", "smapd: sendmail "+agent.program)
	start(t, program(t, "smapd"), "-c", s.table)

	const head = "From: \"Cron, the\" <cron@client.test>\nTo: Ann <ann@system.test>,\n bob@system.test\nCc: carl@system.test\n"
	const body = "Subject: x\n\nbody\n.\nBcc: not a header\n"
	text := head + "Bcc: dora@system.test,\n\temil@system.test\n" + body
	// The one line of shell that the document promises.
	const script = `umask 027 && t=$(mktemp "$0/tmp/drop.XXXXXX") && printf %s "$1" >"$t" && chmod 640 "$t" && ` +
		`ln "$t" "$0/new/daily.mail" && rm "$t"`
	for i := range 2 { // the same name again, as from cron every day
		if out, err := as(t, who.uid, groupID(t, feeders), "/bin/sh", "-c", script, s.spool, text); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		calls := agent.wait(i+1, 20*time.Second)
		c := calls[i]
		if c.content != head+body {
			t.Errorf("content %q", c.content)
		}
		if c.sender() != "cron@client.test" {
			t.Errorf("sender %q", c.sender())
		}
		want := "ann@system.test bob@system.test carl@system.test dora@system.test emil@system.test"
		if got := strings.Join(c.recipients(), " "); got != want {
			t.Errorf("recipients %s", got)
		}
		if !eventually(10*time.Second, func() bool { return s.count("new") == 0 }) {
			t.Fatalf("left in new/: %v", s.names("new"))
		}
	}
	s.empty()
}
