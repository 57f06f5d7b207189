package courier

import (
	"fmt"
	"io"
	"strings"
	"time"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// fieldReport marks an envelope that the courier wrote, with what it is.
// Reports have the null sender, so none is ever answered by another.
const fieldReport = "X-Smapd-Report"

// feedOwn commits a message of ours: null sender, one recipient, marked.
func feedOwn(sp *spoolfmt.Spool, to, kind string, write func(io.Writer) error) (string, error) {
	from := envelope.Path{Params: []envelope.Param{{Keyword: "BODY", Value: "8BITMIME", HasValue: true}}}
	if !ascii(to) {
		from.Params = append(from.Params, envelope.Param{Keyword: "SMTPUTF8"})
	}
	env, err := envelope.New(from, []envelope.Path{{Address: to}})
	if err != nil {
		return "", err
	}
	if err := env.Set(fieldReport, kind); err != nil {
		return "", err
	}
	if err := env.Set("Received-At", envelope.FormatTime(time.Now())); err != nil {
		return "", err
	}
	d, err := sp.NewDraft()
	if err != nil {
		return "", err
	}
	if err := write(d); err != nil {
		return "", fmt.Errorf("report: %w", joinAbort(err, d))
	}
	if err := d.Commit(env); err != nil {
		return "", fmt.Errorf("report: %w", joinAbort(err, d))
	}
	return d.ID(), nil
}

func joinAbort(err error, d *spoolfmt.Draft) error {
	if aerr := d.Abort(); aerr != nil {
		return fmt.Errorf("%w; and %w", err, aerr)
	}
	return err
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= 0x80 }) < 0
}
