package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"smap/courier/agent"
	"smap/netperm"
)

// tableRule is a rule of a netperm-table in a document, perhaps in a comment or behind a mark of mdoc.
var tableRule = regexp.MustCompile(`^[ \t]*(?:#[ \t]*|\.Dl )?((?:smap|smapd|smap, smapd):[ \t]+[a-z][a-z-]*(?:[ \t].*)?)$`)

// tableBlocks are the paragraphs of a document that hold rules, with their first lines; prose is none.
func tableBlocks(text string) map[int]string {
	blocks := make(map[int]string)
	first := 0
	for i, line := range strings.Split(text, "\n") {
		m := tableRule.FindStringSubmatch(line)
		if m == nil {
			first = 0
			continue
		}
		if first == 0 {
			first = i + 1
		}
		rule, _, _ := strings.Cut(m[1], "  # ")
		blocks[first] += rule + "\n"
	}
	return blocks
}

// tableFault is what is wrong with a part of a table, "" if nothing is.
func tableFault(block string) string {
	text := "smap, smapd: directory /var/spool/smap\nsmap, smapd: userid smap\n" + block
	for _, program := range []string{"smap", "smapd"} {
		t, err := netperm.Parse([]byte(text), "table", netperm.Options{Program: program})
		if err != nil {
			return err.Error()
		}
		if program == "smap" {
			continue
		}
		for _, c := range []netperm.WordsClause{netperm.Agent, netperm.BounceAgent} {
			if words := t.Words(c); len(words) > 0 {
				if err := agent.Check(words); err != nil {
					return err.Error()
				}
			}
		}
		for _, l := range t.Lines(netperm.Lane) {
			if err := agent.Check(l.Words[1:]); err != nil {
				return err.Error()
			}
		}
	}
	return ""
}

// TestTables: every rule of a netperm-table in the documents, the manuals and contrib is one that the programs take.
func TestTables(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.md", "contrib/*/*", "contrib/netperm-table", "man/*"} {
		some, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(some) == 0 {
			t.Fatal(pattern, err)
		}
		files = append(files, some...)
	}
	notTables := map[string]bool{"lintian-overrides": true, "demo": true, "smap-log.5": true} // other lines that begin so
	seen := 0
	for _, name := range files {
		if notTables[filepath.Base(name)] {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			continue // a directory
		}
		for line, block := range tableBlocks(string(text)) {
			seen++
			if fault := tableFault(block); fault != "" {
				t.Errorf("%s:%d: %s\n%s", name, line, fault, block)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d tables seen", seen)
	}
}

// TestTablesNotice plants faults.
func TestTablesNotice(t *testing.T) {
	for _, text := range []string{"    smap: timeout soon\n", "x\n    smapd:  agent smtp mx:25 xclint\n", ".Dl smapd: lane a exec relative\n", "#smap: recipient /x\n"} {
		blocks := tableBlocks(text)
		if len(blocks) != 1 {
			t.Errorf("%q: %d blocks", text, len(blocks))
		}
		for _, block := range blocks {
			if tableFault(block) == "" {
				t.Errorf("%q passes", text)
			}
		}
	}
}
