//go:build system

package interop

import (
	"testing"

	"smap/internal/systest/kit"
)

// TestSendmails has the sendmail programs of six mail servers take the same letters from smapd.
func TestSendmails(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*testing.T, *kit.Site, *kit.Sink) *mailer{
		"postfix": mailerPostfix, "exim": mailerExim, "sendmail": mailerSendmail,
		"nullmailer": mailerNullmailer, "dma": mailerDMA, "msmtp": mailerMsmtp,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink := kit.NewSink(t, false)
			f(t, kit.NewSite(t), sink).check(t)
		})
	}
}
