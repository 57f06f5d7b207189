//go:build system

package soak

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestGrowth feeds it with what it is for, and with what it must bear.
func TestGrowth(t *testing.T) {
	var rng *rand.Rand
	const samples = 360 // an hour
	sessions := func(int) float64 { return 12 + float64(rng.IntN(20)) }
	memory := func(i int) float64 { return 9000 + 1500*float64(i%17)/17 + float64(rng.IntN(200)) } // a collector's saw
	for name, c := range map[string]struct {
		value func(i int) float64
		most  float64
		leaks bool
	}{
		"nothing":                     {func(int) float64 { return 9 }, 0, false},
		"sessions":                    {sessions, 2, false},
		"collector":                   {memory, 1024, false},
		"warm in ten minutes":         {func(i int) float64 { return memory(i) + 3000*min(1, float64(i)/60) }, 1024, false},
		"fewer":                       {func(i int) float64 { return sessions(i) - float64(i)/60 }, 2, false},
		"a descriptor in ten minutes": {func(i int) float64 { return sessions(i) + float64(i/60) }, 2, true},
		"4 MiB in an hour":            {func(i int) float64 { return memory(i) + 4096*float64(i)/samples }, 1024, true},
		"one step, for good":          {func(i int) float64 { return sessions(i) + 5*float64(i/270) }, 2, true},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			rng = rand.New(rand.NewPCG(1, 2))
			series := make([]float64, samples)
			for i := range series {
				series[i] = c.value(i)
			}
			if got := growth(series); got > c.most != c.leaks {
				t.Errorf("growth %.1f, at most %.0f is flat; leaks %t", got, c.most, c.leaks)
			}
		})
	}
}
