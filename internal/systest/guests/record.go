//go:build system && guests

package guests

import "strings"

// A record is what a guest's serial log says.
type record struct {
	kernel  string
	seconds float64
	jobs    map[string]string   // ok, failed
	output  map[string][]string // by job
	whole   bool
}

// parse reads a serial log.
func parse(log string) *record {
	r := &record{jobs: map[string]string{}, output: map[string][]string{}}
	job := ""
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\r\n")
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "guest:" {
			r.output[job] = append(r.output[job], line)
			continue
		}
		switch words[1] {
		case "kernel":
			r.kernel = strings.Join(words[2:], " ")
		case "begin":
			job = words[2]
		case "ok", "failed":
			r.jobs[words[2]], job = words[1], ""
		case "all":
			r.whole = true
		default:
			r.output[job] = append(r.output[job], strings.Join(words[1:], " "))
		}
	}
	return r
}
