package netperm

import (
	"bufio"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Domains are the names that a [DomainsClause] lists.
type Domains struct {
	exact    map[string]bool
	suffixes []string // with the dot in front
}

// Domains reads the domain names of a clause, and those in the files that it
// names: one on a line, "#" begins a comment. Without the clause the only name
// is otherwise.
func (t *Table) Domains(c DomainsClause, otherwise string) (*Domains, error) {
	d := &Domains{exact: make(map[string]bool)}
	if !t.Has(c) {
		d.add(otherwise)
	}
	for _, word := range t.words(c) {
		if !strings.HasPrefix(word, "/") {
			d.add(word)
			continue
		}
		if err := d.addFile(word); err != nil {
			return nil, t.Errorf(c, "%w", err)
		}
	}
	return d, nil
}

func (d *Domains) add(domain string) {
	domain = strings.Map(fold, domain)
	if strings.HasPrefix(domain, ".") {
		d.suffixes = append(d.suffixes, domain)
		domain = domain[1:]
	}
	d.exact[domain] = true
}

func (d *Domains) addFile(path string) error {
	file, err := OpenFile(path)
	if err != nil {
		return err
	}
	defer file.Close() // only read
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if reason := checkListed(line); reason != "" {
			return fmt.Errorf("%s:%d: %s", printablePath(path), n, reason)
		}
		d.add(line)
	}
	return lines.Err()
}

// fold is lower case, but makes no ASCII letter of another character: in DNS
// "İ" is not "i", and who owns one domain need not own the other.
func fold(r rune) rune {
	if l := unicode.ToLower(r); r < utf8.RuneSelf || l >= utf8.RuneSelf {
		return l
	}
	return r
}

// Contain reports whether a domain, in any case, is listed, or is below one that
// is listed with a dot in front.
func (d *Domains) Contain(domain string) bool {
	domain = strings.Map(fold, domain)
	if d.exact[domain] {
		return true
	}
	for _, s := range d.suffixes {
		if strings.HasSuffix(domain, s) {
			return true
		}
	}
	return false
}
