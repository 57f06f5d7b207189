package systest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// floors is how many parts of a series are looked at.
const floors = 6

// growth is by how much the floor of a series rises over its second half: the slope, by least squares, through the least
// value of each of six parts, times their number. What is in use now and then comes and goes, and does not move the floor;
// what is never given back can only raise it.
func growth(series []float64) float64 {
	half := series[len(series)/2:]
	if len(half) < floors {
		return 0
	}
	var sum, slope, squares float64
	for i := range floors {
		floor := slices.Min(half[i*len(half)/floors : (i+1)*len(half)/floors])
		x := float64(i) - float64(floors-1)/2
		sum += floor
		slope += x * floor
		squares += x * x
	}
	return slope / squares * floors
}

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
