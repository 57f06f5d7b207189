//go:build system

package crash

import (
	"testing"
)

// TestCuts: whenever the power fails, on whichever of these file systems, nothing that was accepted is lost.
func TestCuts(t *testing.T) {
	t.Parallel()
	for _, kind := range cutKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := cutCount(t)
			r := newCutRun(t, kind, false)
			var sum result
			for i, one := range r.cuts(n) {
				for _, w := range one.wrong {
					t.Errorf("cut %d: %s", i, w)
				}
				sum.waiting += one.waiting
				sum.recovered += one.recovered
				sum.again += one.again
				sum.torn += one.torn
			}
			t.Logf("%d cuts, %d messages accepted; %d were waiting at a cut, %d were delivered after one, of these %d again; %d torn ones, which nobody was told of, were set aside",
				n, len(r.acked.all()), sum.waiting, sum.recovered, sum.again, sum.torn)
			for _, w := range r.live.complaints() {
				t.Error(w)
			}
			if sum.waiting == 0 {
				t.Error("nothing was waiting at any cut: nothing could have been lost")
			}
		})
	}
}

// TestCutsNoticed has smap sync nothing. At least 95 of 100 cuts must show it.
func TestCutsNoticed(t *testing.T) {
	t.Parallel()
	for _, kind := range cutKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n, found := min(cutCount(t), 100), 0 // most wait for a minute
			r := newCutRun(t, kind, true)
			for _, one := range r.cuts(n) {
				if len(one.wrong) > 0 {
					found++
				}
			}
			t.Logf("found after %d of %d cuts", found, n)
			if found*100 < n*95 {
				t.Errorf("a smap that does not sync was found after %d of %d cuts only", found, n)
			}
		})
	}
}
