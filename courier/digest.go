package courier

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"smap/courier/dsn"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

const (
	// digestAfter collects what is set aside together; digestEvery is the least
	// time between two digests.
	digestAfter = time.Minute
	digestEvery = time.Hour
	// maxDigest bounds the lines of a digest; more are only counted.
	maxDigest = 200
)

// A digest collects what was set aside for the message to the administrator.
//
// It is in memory only. What is collected at a stop is sent then; a process that
// is killed sends nothing, and the next one knows neither what was collected nor
// when the last digest was sent. Look into bad/, or at the metrics, to miss nothing.
type digest struct {
	lines []string
	count int
	due   time.Time
	last  time.Time
}

// add takes one message in.
func (g *digest) add(now time.Time, id, reason string) {
	g.count++
	if len(g.lines) < maxDigest {
		g.lines = append(g.lines, fmt.Sprintf("%s %s\n    %s\n", envelope.FormatTime(now), id, envelope.CleanText(reason, maxText)))
	}
	if g.due.IsZero() {
		g.due = now.Add(digestAfter)
		if next := g.last.Add(digestEvery); g.last.After(time.Time{}) && next.After(g.due) {
			g.due = next
		}
	}
}

func (g *digest) subject() string {
	if g.count == 1 {
		return "1 message set aside"
	}
	return fmt.Sprintf("%d messages set aside", g.count)
}

// restore takes back a digest that could not be fed.
func (g *digest) restore(old digest, now time.Time) {
	old.count += g.count
	old.lines = append(old.lines, g.lines[:min(len(g.lines), maxDigest-len(old.lines))]...)
	old.due = now.Add(digestAfter)
	*g = old
}

// feed commits the digest.
func (g *digest) feed(sp *spoolfmt.Spool, cfg *Config, now time.Time) error {
	_, err := feedOwn(sp, dsn.Complete(cfg.BadAdmin, cfg.Hostname), digestReport.String(), func(to io.Writer) error {
		w := bufio.NewWriter(to)
		dsn.Header(w, cfg.Hostname, cfg.BadAdmin, g.subject(), now)
		fmt.Fprintf(w, "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n")
		fmt.Fprintf(w, "Messages that smapd on %s could not deliver were set aside in\n%s\n\n", cfg.Hostname, sp.Path(spoolfmt.Bad))
		for _, line := range g.lines {
			if _, err := w.WriteString(line); err != nil {
				return err
			}
		}
		if more := g.count - len(g.lines); more > 0 {
			fmt.Fprintf(w, "... and %d more\n", more)
		}
		fmt.Fprintf(w, "\nThe reason is also in each envelope. \"smapq requeue\" puts a message back.\n")
		return w.Flush()
	})
	return err
}
