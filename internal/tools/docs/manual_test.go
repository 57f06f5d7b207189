package docs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"smap/courier/agent"
)

// TestFlags holds the options of smap(8) and smapd(8) against the code.
func TestFlags(t *testing.T) {
	for _, program := range []string{"smap", "smapd"} {
		var said []string
		for _, item := range items(section(t, page(t, program+".8"), "Sh DESCRIPTION"), "Fl") {
			name, _, _ := strings.Cut(item, " ")
			said = append(said, name)
		}
		same(t, program+", options", said, flags(t, "cmd/"+program))
	}
}

// TestExitCodes holds the EXIT STATUS of every program against its constants.
func TestExitCodes(t *testing.T) {
	for program, file := range map[string]string{"smap": "smap.8", "smapd": "smapd.8", "smapq": "smapq.1"} {
		said := items(section(t, page(t, file), "Sh EXIT STATUS"), "Er")
		same(t, program+", exit codes", said, exitCodes(t, "cmd/"+program))
	}
}

// TestAgentCodes holds what smapd(8) says of agents' exit codes against the
// table that decides.
func TestAgentCodes(t *testing.T) {
	var said, has []string
	for _, item := range items(section(t, page(t, "smapd.8"), "Ss Exit codes of agents"), "Er") {
		said = append(said, strings.Replace(item, ` \&`, "", 1))
	}
	for code := range 256 {
		if o := agent.ExitOutcome(code); o != agent.Retry {
			has = append(has, fmt.Sprintf("%d %s", code, o))
		}
	}
	same(t, "exit codes of agents", said, has)
}

// TestAgentVariables holds the environment that smapd(8) documents against what
// agents get.
func TestAgentVariables(t *testing.T) {
	said := items(section(t, page(t, "smapd.8"), "Ss How agents are called"), "Ev")
	same(t, "environment of agents", said, agent.Variables())
}

// TestAgentGrammar holds the kinds of agents in netperm-table(5), and the words of
// smtp and lmtp agents, against what is parsed.
func TestAgentGrammar(t *testing.T) {
	var kinds, words []string
	for _, u := range agent.Usages() {
		kinds = append(kinds, first(u))
	}
	for _, u := range agent.WordUsages() {
		words = append(words, first(u))
	}
	said := map[string]bool{}
	for _, l := range page(t, "netperm-table.5") {
		if item, ok := strings.CutPrefix(l, ".It Cm "); ok {
			said[first(item)] = true
		}
	}
	for _, w := range slices.Concat(kinds, words) {
		if !said[w] {
			t.Errorf("netperm-table(5) does not list %q", w)
		}
	}
}

func first(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// TestSections: every page has what a reader looks for.
func TestSections(t *testing.T) {
	for name, wanted := range map[string][]string{
		"smap.8":          {"EXIT STATUS", "FILES", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO", "SECURITY CONSIDERATIONS"},
		"smapd.8":         {"EXIT STATUS", "FILES", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO", "SECURITY CONSIDERATIONS"},
		"smapq.1":         {"EXIT STATUS", "FILES", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO", "ENVIRONMENT", "SECURITY CONSIDERATIONS"},
		"netperm-table.5": {"FILES", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO", "SECURITY CONSIDERATIONS"},
		"smap-spool.5":    {"FILES", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO", "SECURITY CONSIDERATIONS"},
		"smap-log.5":      {"FILES", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO"},
	} {
		lines := page(t, name)
		for _, s := range wanted {
			if !slices.Contains(lines, ".Sh "+s) {
				t.Errorf("%s has no section %s", name, s)
			}
		}
	}
}
