package courier

import (
	"context"
	"log/slog"
	"time"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// The events, as smap-log(5) and doc.go list them.
const (
	eventStart      = "start"       // deliveries begin
	eventReload     = "reload"      // a new configuration is in use
	eventStop       = "stop"        // no new deliveries begin
	eventStopped    = "stopped"     // the courier ends
	eventDelivered  = "delivered"   // the agent took the mail for a recipient
	eventFailed     = "failed"      // the agent refused a recipient for good
	eventDeferred   = "deferred"    // recipients of a message will be tried again
	eventAside      = "aside"       // a message was moved to bad, for a person
	eventFinished   = "finished"    // every recipient has an outcome, and the message is removed
	eventReported   = "reported"    // a report to the sender was fed into the spool
	eventExpired    = "expired"     // a message is older than the maximum age
	eventTrouble    = "trouble"     // the system is at fault, not a message
	eventHealed     = "healed"      // that trouble is over
	eventBusy       = "busy"        // a message has been locked for unusually long
	eventIgnored    = "ignored"     // a file in the spool is not part of a message
	eventWatchLost  = "watch-lost"  // the system sends no events of the spool
	eventWatchBack  = "watch-back"  // these events come again
	eventSpoolMoved = "spool-moved" // the spool's directory was replaced, and is open again
)

// events writes the log, one function for each event; doc.go lists them.
type events struct{ log *slog.Logger }

func (e events) info(event string, attrs ...slog.Attr) {
	e.log.LogAttrs(context.Background(), slog.LevelInfo, event, attrs...)
}

func (e events) warn(event string, attrs ...slog.Attr) {
	e.log.LogAttrs(context.Background(), slog.LevelWarn, event, attrs...)
}

// maxText bounds texts of other programs in log lines.
const maxText = 400

func text(s string) slog.Attr { return slog.String("text", envelope.CleanText(s, maxText)) }

func address(key, a string) slog.Attr { return slog.String(key, "<"+a+">") }

func millis(d time.Duration) slog.Attr { return slog.Int64("ms", d.Milliseconds()) }

func (e events) start(c *Config) {
	e.info(eventStart, slog.String("dir", c.Dir), slog.String("agent", c.Agent.Name()),
		slog.Int("maxchildren", c.MaxChildren))
}

func (e events) reload(c *Config) {
	e.info(eventReload, slog.String("agent", c.Agent.Name()), slog.Int("maxchildren", c.MaxChildren))
}

func (e events) stop(running int) { e.info(eventStop, slog.Int("running", running)) }

func (e events) stopped(t *counts) {
	e.info(eventStopped, slog.Uint64("finished", t.finished), slog.Uint64("deferred", t.deferred),
		slog.Uint64("aside", t.aside))
}

func (e events) delivered(id, to, agent string, took time.Duration, reply string) {
	e.info(eventDelivered, slog.String("id", id), address("to", to), slog.String("agent", agent), millis(took), text(reply))
}

func (e events) failed(id, to, agent, why string) {
	e.warn(eventFailed, slog.String("id", id), address("to", to), slog.String("agent", agent), text(why))
}

func (e events) deferred(id string, attempts int, next time.Time, waiting int, why string) {
	e.info(eventDeferred, slog.String("id", id), slog.Int("attempts", attempts),
		slog.String("next", envelope.FormatTime(next)), slog.Int("waiting", waiting), text(why))
}

func (e events) aside(id, file, reason string) {
	attrs := []slog.Attr{slog.String("id", id)}
	if file != "" {
		attrs = append(attrs, slog.String("file", file))
	}
	e.warn(eventAside, append(attrs, slog.String("reason", envelope.CleanText(reason, maxText)))...)
}

func (e events) finished(id, from string, size int64, recipients int, took time.Duration) {
	e.info(eventFinished, slog.String("id", id), address("from", from), slog.Int64("size", size),
		slog.Int("recipients", recipients), millis(took))
}

func (e events) reported(id, report string, kind reportKind, recipients int) {
	e.info(eventReported, slog.String("id", id), slog.String("report", report), slog.String("kind", kind.String()),
		slog.Int("recipients", recipients))
}

func (e events) expired(id string, attempts int, age time.Duration) {
	e.warn(eventExpired, slog.String("id", id), slog.Int("attempts", attempts),
		slog.String("age", age.Round(time.Second).String()))
}

func (e events) trouble(what string, err error) {
	e.warn(eventTrouble, slog.String("what", what), slog.String("error", envelope.CleanText(err.Error(), maxText)))
}

func (e events) healed(what string) { e.info(eventHealed, slog.String("what", what)) }

func (e events) busy(name string, since time.Duration) {
	e.warn(eventBusy, slog.String("name", name), slog.String("for", since.Round(time.Second).String()))
}

func (e events) ignored(box spoolfmt.Box, name, reason string) {
	e.warn(eventIgnored, slog.String("box", box.String()), slog.String("name", envelope.CleanText(name, maxText)),
		slog.String("reason", reason))
}

func (e events) watchLost(err error) {
	e.warn(eventWatchLost, slog.String("error", envelope.CleanText(err.Error(), maxText)))
}

func (e events) watchBack() { e.info(eventWatchBack) }

func (e events) spoolMoved(dir string) { e.warn(eventSpoolMoved, slog.String("dir", dir)) }
