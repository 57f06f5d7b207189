package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"smap/netperm"
	"smap/spoolfmt/envelope"
)

// aliasesPath is the file that says where local mail goes, beside the table.
func aliasesPath() string {
	return filepath.Join(filepath.Dir(netperm.DefaultPath()), "smapq-aliases")
}

// aliases are the lines of that file: a local name, and who gets its mail. The name
// "*" is every other local name.
type aliases map[string][]string

// readAliases reads a file of lines such as "root: ann@example.com". A file that
// does not exist has no lines.
func readAliases(path string) (aliases, error) {
	f, err := netperm.OpenFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	all := make(aliases)
	lines := bufio.NewScanner(io.LimitReader(f, 1<<20))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, list, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%s:%d: expected \"name: address\"", path, n)
		}
		for to := range strings.SplitSeq(list, ",") {
			to = strings.TrimSpace(to)
			if err := envelope.CheckAddress(to); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, n, err)
			}
			name = strings.ToLower(strings.TrimSpace(name))
			all[name] = append(all[name], to)
		}
	}
	return all, lines.Err()
}

// apply replaces local recipients by those that the file names, once: what comes
// out is not looked up again. Nobody is named twice.
func (all aliases) apply(to []envelope.Path) []envelope.Path {
	if len(all) == 0 {
		return to
	}
	seen := make(map[string]bool)
	var out []envelope.Path
	for _, p := range to {
		targets := all.lookup(p.Address)
		if targets == nil {
			targets = []string{p.Address}
		}
		for _, address := range targets {
			if !seen[address] {
				seen[address] = true
				out = append(out, envelope.Path{Address: address, Params: p.Params})
			}
		}
	}
	return out
}

// lookup returns nil for an address that is not local, or not in the file.
func (all aliases) lookup(address string) []string {
	local, domain, _ := strings.Cut(address, "@")
	if domain = strings.ToLower(domain); domain != "" && domain != "localhost" && domain != strings.ToLower(hostName()) {
		return nil
	}
	if to := all[strings.ToLower(local)]; to != nil {
		return to
	}
	return all["*"]
}
