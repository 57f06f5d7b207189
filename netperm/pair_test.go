package netperm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSharedUser(t *testing.T) {
	dir := t.TempDir()
	for _, dir := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		table string
		want  string
	}{
		"one":       {"smap, smapd: userid 5\n", "table:3: userid: smap and smapd run as the same user"},
		"by number": {"smap: userid 5\nsmapd: userid 05\n", "table:3: userid: smap and smapd run as the same user"},
		"any":       {"*: userid 5\n", "table:3: userid: smap and smapd run as the same user"},
		"two":       {"smap: userid 5\nsmapd: userid 6\n", ""},
		"no smapd":  {"smap: userid 5\n", ""},
		"wrong":     {"smap, smapd: userid 5\nsmap: timeout x\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "table")
			text := "smap, smapd: directory " + dir + "\n*: groupid 7\n" + test.table
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, w := range SharedUser(path) {
				got += strings.TrimPrefix(w.Error(), filepath.Dir(path)+"/")
			}
			if got != test.want && (test.want == "" || !strings.HasPrefix(got, test.want)) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestUnknownRecipients(t *testing.T) {
	const base = "smap, smapd: directory /var/spool/smap\n"
	for name, test := range map[string]struct {
		table string
		want  int
	}{
		"neither":       {base, 1},
		"recipients":    {base + "smap: recipients /etc/smap/recipients\n", 0},
		"bounce":        {base + "smapd: bounce yes\n", 0},
		"bounce no":     {base + "smapd: bounce no\n", 1},
		"smapd alone":   {"smapd: directory /var/spool/smap\n", 0},
		"another spool": {"smap: directory /srv/a\nsmapd: directory /srv/b\n", 0},
		"errors":        {base + "smap: timeout x\n", 0},
		"a Maildir":     {base + "smapd: agent maildir /srv/mail\n", 0},
	} {
		if got := UnknownRecipients([]byte(test.table), "table"); len(got) != test.want {
			t.Errorf("%s: %v, want %d warnings", name, got, test.want)
		}
	}
}
