package spoolfmt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/spoolfmt/envelope"
)

// TestTmpCleaned: somebody empties tmp during a delivery. What is reserved, and
// what is kept from earlier messages, has no name any more, and the outcome must
// be written all the same: a courier holds a message whose outcome is not, and
// delivers nothing when it holds as many as it may deliver at once.
func TestTmpCleaned(t *testing.T) {
	x := newTestSpool(t)
	var claims []*Claim
	for range 3 {
		c, err := x.Claim(x.feed("x\n"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Load(); err != nil {
			t.Fatal(err)
		}
		if err := c.Reserve(); err != nil {
			t.Fatal(err)
		}
		claims = append(claims, c)
	}
	if err := claims[0].Finish(); err != nil { // its room is kept
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(x.dir, "tmp", "*"))
	if err != nil || len(names) != 3 {
		t.Fatalf("tmp holds %v, error %v", names, err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range claims[1:] {
		if err := c.Envelope().SetOutcome("b@example.org", envelope.Outcome{Status: envelope.StatusDelivered, Time: x.clock}); err != nil {
			t.Fatal(err)
		}
		if err := c.Record(time.Time{}); err != nil {
			t.Errorf("record: %v", err)
		}
		data, err := os.ReadFile(filepath.Join(x.dir, "cur", c.ID()+".envelope"))
		if err != nil || !strings.Contains(string(data), "Delivered: <b@example.org>") {
			t.Errorf("error %v, envelope %s", err, data)
		}
		if err := c.Release(); err != nil {
			t.Error(err)
		}
	}
}
