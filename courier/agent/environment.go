package agent

import (
	"slices"
	"strconv"
	"strings"
)

// A variable is one variable of the environment that describes a message.
type variable struct {
	name  string
	value func(*Job) string // empty: not set
}

// field is the value of a field of the envelope.
func field(name string) func(*Job) string {
	return func(j *Job) string { return j.Envelope.Get(name) }
}

// variables returns the whole environment of a message. smapd(8) lists it.
func variables() []variable {
	return []variable{
		{"SMAP_ID", func(j *Job) string { return j.ID }},
		{"SMAP_SENDER", func(j *Job) string { return j.Sender.Address }},
		{"SMAP_RECIPIENTS", func(j *Job) string { return strings.Join(j.Addresses(), "\n") }},
		{"SMAP_RECIPIENT", func(j *Job) string {
			if len(j.Recipients) == 1 {
				return j.Recipients[0].Address
			}
			return ""
		}},
		{"SMAP_SIZE", func(j *Job) string { return strconv.FormatInt(j.Size, 10) }},
		{"SMAP_ENVELOPE", func(j *Job) string { return j.EnvelopePath }},
		{"SMAP_CLIENT_ADDRESS", field("Client-Address")},
		{"SMAP_CLIENT_NAME", field("Client-Name")},
		{"SMAP_CLIENT_IDENT", field("Client-Ident")},
		{"SMAP_HELO", field("Helo")},
		{"SMAP_PROTOCOL", field("Protocol")},
		{"SMAP_TLS", field("TLS")},
		{"SMAP_RECEIVED_AT", field("Received-At")},
	}
}

// Environment returns the variables that describe a message and one call's
// recipients to a program. An address cannot hold a line end, so each line of
// SMAP_RECIPIENTS is one. The null sender is an empty SMAP_SENDER.
func Environment(job *Job) []string {
	vars := variables()
	env := make([]string, 0, len(vars)+len(baseEnv))
	for _, v := range vars {
		if value := v.value(job); value != "" || v.name == "SMAP_SENDER" {
			env = append(env, v.name+"="+value)
		}
	}
	return env
}

// Inherit returns an environment without the variables that describe a message: a
// program that one agent started may start another one.
func Inherit(env []string) []string {
	names := Variables()
	return slices.DeleteFunc(slices.Clone(env), func(s string) bool {
		name, _, _ := strings.Cut(s, "=")
		return slices.Contains(names, name)
	})
}

// Variables returns the names of the variables that Environment sets.
func Variables() []string {
	var names []string
	for _, v := range variables() {
		names = append(names, v.name)
	}
	return names
}
