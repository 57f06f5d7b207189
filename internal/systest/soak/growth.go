//go:build system

package soak

import (
	"slices"
)

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

// floors is how many parts of a series are looked at.
const floors = 6
