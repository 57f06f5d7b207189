package main

import (
	"fmt"
	"strconv"
	"time"
)

// age says how long something is, in words: the one unit that matters.
func age(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	count := func(n int64, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	const day = 24 * time.Hour
	switch {
	case d < 2*time.Minute:
		return count(int64(d.Round(time.Second)/time.Second), "second")
	case d < 2*time.Hour:
		return count(int64(d.Round(time.Minute)/time.Minute), "minute")
	case d < 2*day:
		return count(int64(d.Round(time.Hour)/time.Hour), "hour")
	}
	return count(int64(d.Round(day)/day), "day")
}

// size is a number of octets as people read them, in at most eight characters.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v, u := float64(n)/1024, 0
	for v >= 999.5 && u < len(units)-1 {
		v /= 1024
		u++
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f %ciB", v, units[u])
	}
	return fmt.Sprintf("%.0f %ciB", v, units[u])
}

// plural is "1 message" and "2 messages".
func plural(n int, what string) string {
	return several(n, what, what+"s")
}

func several(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// duration reads what a person types for a time: Go's own syntax, and d and w.
func duration(s string) (time.Duration, error) {
	if n := len(s); n > 1 && (s[n-1] == 'd' || s[n-1] == 'w') {
		days, err := strconv.ParseUint(s[:n-1], 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time such as 90s, 10m, 3h or 2d", s)
		}
		d := time.Duration(days) * 24 * time.Hour
		if s[n-1] == 'w' {
			d *= 7
		}
		return d, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a time such as 90s, 10m, 3h or 2d", s)
	}
	return d, nil
}
