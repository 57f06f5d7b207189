//go:build system

package soak

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"smap/internal/systest/kit"
)

// kinds are what mail is for, besides ok, which most are.
var (
	calmKinds  = []string{"defer", "lost", "fail", "gone"}
	stormKinds = []string{"defer", "fail", "back", "gone"}
)

// piece makes one of kinds, for up to three recipients. Who is deleted or set aside is alone, as that is done to a message.
func (k *soakSite) piece(source string, number int, kinds []string) piece {
	kind := "ok"
	if rand.IntN(10) == 0 {
		kind = kinds[rand.IntN(len(kinds))]
	}
	mark := fmt.Sprintf("%s-%s-%d", kind, source, number)
	l := piece{mark: mark, to: []string{mark}}
	if kind == "ok" || kind == "defer" || kind == "lost" {
		for i := range rand.IntN(8) - 5 {
			l.to = append(l.to, fmt.Sprintf("%s-%s-%d.%d", []string{"ok", "defer"}[i], source, number, i))
		}
	}
	k.books.try(l)
	return l
}

func pause(ctx context.Context, mean time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(rand.N(2*mean) + time.Millisecond):
		return true
	}
}

// client sends by SMTP until ctx is done.
func (k *soakSite) client(ctx context.Context, source string, mean time.Duration, kinds []string, sure bool) {
	for n := 0; pause(ctx, mean); {
		var mail []piece
		for range 1 + rand.IntN(3) {
			n++
			mail = append(mail, k.piece(source, n, kinds))
		}
		i := rand.IntN(len(k.ports))
		dialect := dialects[rand.IntN(len(dialects))]
		if !sure && i > 0 && dialect == "TLS" {
			dialect = "EHLO" // the one under inetd
		}
		err := session(k.ports[i], dialect, k.ca, mail, k.books)
		if err != nil && sure && i == 0 {
			k.books.complain("%s, which nobody disturbs: %s: %v", k.name, dialect, err)
		}
		k.did(err)
	}
}

// did counts.
func (k *soakSite) did(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tries++
	if err != nil {
		k.failed++
	}
}

// annoyances plays clients that nobody wants.
func (k *soakSite) annoyances(ctx context.Context, mean time.Duration, sure bool) {
	names := slices.Collect(maps.Keys(nuisances))
	for n := rand.IntN(len(names)); pause(ctx, mean); n++ {
		name := names[n%len(names)]
		i := rand.IntN(len(k.ports))
		last, err := annoy(k.ports[i], name)
		if sure && i == 0 && (err != nil || !strings.HasPrefix(last, nuisances[name].ends)) {
			k.books.complain("%s, which nobody disturbs: %s ended with %q, %v", k.name, name, last, err)
		}
	}
}

// scripts feed without SMTP. Their arguments are the spool, an id, the envelope and the path of smapq; the content, or the
// whole drop, is their input.
var scripts = map[string]string{
	"shell": `umask 027
c=$(mktemp "$1/tmp/feed.XXXXXX") && e=$(mktemp "$1/tmp/feed.XXXXXX") && cat >"$c" && printf %s "$3" >"$e" && chmod 640 "$c" "$e" &&
	ln "$c" "$1/new/$2.eml" && { ln "$e" "$1/new/$2.envelope" || { rm -f "$1/new/$2.eml"; false; }; }
s=$?; rm -f "$c" "$e"; exit $s`,
	"drop":     `umask 027; t=$(mktemp "$1/tmp/drop.XXXXXX") && cat >"$t" && chmod 640 "$t" && ln "$t" "$1/new/$2.mail"; s=$?; rm -f "$t"; exit $s`,
	"submit":   `s=$1 q=$4 f=$5; shift 5; exec "$q" -d "$s" submit -f "$f" "$@"`,
	"sendmail": `s=$1 q=$4 f=$5; shift 5; SMAP_SPOOL=$s exec -a sendmail "$q" -i -f "$f" "$@"`,
}

// feeder feeds by shell scripts, as a member of the feeders' group, until ctx is done.
func (k *soakSite) feeder(ctx context.Context, smapq string, mean time.Duration, kinds []string) {
	uid, _ := kit.IDs(k.T, kit.SmapUser)
	gid := kit.GroupID(k.T, kit.Feeders)
	for n := 1; pause(ctx, mean); n++ {
		for how, script := range scripts { // one of them, at random
			l := k.piece(how, n, kinds)
			from, text := l.mark+"@client.test", k.books.text(l.mark)
			var envelope strings.Builder
			fmt.Fprintf(&envelope, "Spool-Format: 1\nSender: <%s>\nSize: %d\n", from, len(text))
			args := []string{"-c", script, "bash", k.Spool, fmt.Sprintf("%s-%d", how, n), "", smapq, from}
			for _, to := range l.to {
				fmt.Fprintf(&envelope, "Recipient: <%s@system.test>\n", to)
				args = append(args, to+"@system.test")
			}
			args[5] = envelope.String() + "\n"
			if how == "drop" {
				text = fmt.Sprintf("Return-Path: <%s>\nTo: <%s>\n%s", from, strings.Join(args[8:], ">, <"), text)
			}
			cmd := exec.Command("/bin/bash", args...)
			cmd.Dir, cmd.Stdin = "/", strings.NewReader(text)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
			err := cmd.Run()
			if err == nil {
				k.books.promise(l)
			}
			k.did(err)
			break
		}
	}
}
