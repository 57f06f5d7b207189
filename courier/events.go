package courier

import (
	"context"
	"log/slog"
	"time"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
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
	e.info("start", slog.String("dir", c.Dir), slog.String("agent", c.Agent.Name()),
		slog.Int("maxchildren", c.MaxChildren))
}

func (e events) reload(c *Config) {
	e.info("reload", slog.String("agent", c.Agent.Name()), slog.Int("maxchildren", c.MaxChildren))
}

func (e events) stop(running int) { e.info("stop", slog.Int("running", running)) }

func (e events) stopped(t *counts) {
	e.info("stopped", slog.Uint64("finished", t.finished), slog.Uint64("deferred", t.deferred),
		slog.Uint64("aside", t.aside))
}

func (e events) delivered(id, to, agent string, took time.Duration, reply string) {
	e.info("delivered", slog.String("id", id), address("to", to), slog.String("agent", agent), millis(took), text(reply))
}

func (e events) failed(id, to, agent, why string) {
	e.warn("failed", slog.String("id", id), address("to", to), slog.String("agent", agent), text(why))
}

func (e events) deferred(id string, attempts int, next time.Time, waiting int, why string) {
	e.info("deferred", slog.String("id", id), slog.Int("attempts", attempts),
		slog.String("next", envelope.FormatTime(next)), slog.Int("waiting", waiting), text(why))
}

func (e events) aside(id, file, reason string) {
	attrs := []slog.Attr{slog.String("id", id)}
	if file != "" {
		attrs = append(attrs, slog.String("file", file))
	}
	e.warn("aside", append(attrs, slog.String("reason", envelope.CleanText(reason, maxText)))...)
}

func (e events) finished(id, from string, size int64, recipients int, took time.Duration) {
	e.info("finished", slog.String("id", id), address("from", from), slog.Int64("size", size),
		slog.Int("recipients", recipients), millis(took))
}

func (e events) reported(id, report string, kind reportKind, recipients int) {
	e.info("reported", slog.String("id", id), slog.String("report", report), slog.String("kind", kind.String()),
		slog.Int("recipients", recipients))
}

func (e events) expired(id string, attempts int, age time.Duration) {
	e.warn("expired", slog.String("id", id), slog.Int("attempts", attempts),
		slog.String("age", age.Round(time.Second).String()))
}

func (e events) trouble(what string, err error) {
	e.warn("trouble", slog.String("what", what), slog.String("error", envelope.CleanText(err.Error(), maxText)))
}

func (e events) healed(what string) { e.info("healed", slog.String("what", what)) }

func (e events) busy(name string, since time.Duration) {
	e.warn("busy", slog.String("name", name), slog.String("for", since.Round(time.Second).String()))
}

func (e events) ignored(box spoolfmt.Box, name, reason string) {
	e.warn("ignored", slog.String("box", box.String()), slog.String("name", envelope.CleanText(name, maxText)),
		slog.String("reason", reason))
}

func (e events) watchLost(err error) {
	e.warn("watch-lost", slog.String("error", envelope.CleanText(err.Error(), maxText)))
}

func (e events) watchBack() { e.info("watch-back") }

func (e events) spoolMoved(dir string) { e.warn("spool-moved", slog.String("dir", dir)) }
