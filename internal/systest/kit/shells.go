//go:build system

package kit

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// feedScript feeds messages as SPOOL-FORMAT.md says it for a shell: ln refuses to replace, and its status decides.
// Arguments: spool, number of messages, word that begins the ids, word that marks the messages, mode of the files.
const feedScript = `#!/bin/sh
set -eu
umask 027
spool=$1 count=$2 ids=$3 mark=$4 mode=$5
n=0
while [ "$n" -lt "$count" ]; do
	n=$((n + 1))
	content=$(mktemp "$spool/tmp/feed.XXXXXX")
	printf 'Subject: %s-%s\n\n.\nbody of %s-%s\n' "$mark" "$n" "$mark" "$n" >"$content"
	envelope=$(mktemp "$spool/tmp/feed.XXXXXX")
	printf 'Spool-Format: 1\nSender: <%s-%s@client.test>\nRecipient: <bob@system.test>\nSize: %d\n\n' \
		"$mark" "$n" "$(wc -c <"$content")" >"$envelope"
	chmod "$mode" "$content" "$envelope"
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
const DrainScript = `#!/bin/sh
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

// FeedShells runs shells at once, each feeding count messages; the last two choose the same ids.
func FeedShells(t *testing.T, s *Site, who Person, shells, count int) {
	t.Helper()
	FeedShellsMode(t, s, who, shells, count, "640")
}

// FeedShellsMode is FeedShells with files of another mode. A drainer that moves by link needs 660 where
// fs.protected_hardlinks is 1.
func FeedShellsMode(t *testing.T, s *Site, who Person, shells, count int, mode string) {
	t.Helper()
	script := s.Write(s.File("feed"), feedScript, 0o755)
	group := GroupID(t, Feeders)
	var wg sync.WaitGroup
	for i := range shells {
		ids := fmt.Sprintf("shell%d", i)
		if i == shells-1 {
			ids = fmt.Sprintf("shell%d", i-1)
		}
		wg.Go(func() {
			out, err := As(t, who.Uid, group, "/bin/sh", script, s.Spool, fmt.Sprint(count), ids, fmt.Sprintf("mark%d", i), mode)
			if err != nil || out != "" {
				t.Errorf("feeder %d: %v: %s", i, err, out)
			}
		})
	}
	wg.Wait()
}

// Matching wants each message once, and every envelope with the content that was fed with it.
func Matching(t *testing.T, seen map[string]int, sender, content string) {
	t.Helper()
	mark := strings.TrimSuffix(sender, "@client.test")
	if want := fmt.Sprintf("Subject: %s\n\n.\nbody of %s\n", mark, mark); content != want {
		t.Errorf("the envelope of %q came with %q", mark, content)
	}
	seen[mark]++
	if seen[mark] > 1 {
		t.Errorf("%s was taken %d times", mark, seen[mark])
	}
}
