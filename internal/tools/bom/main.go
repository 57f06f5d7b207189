// Command bom prints a bill of materials, in CycloneDX's JSON, of Go programs:
// what the toolchain wrote into each of them about the modules that it links.
//
//	bom VERSION TIME FILE [FILE ...]
//
// TIME, in RFC 3339, is the commit's, so that one commit has one bill.
package main

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bill is as much of CycloneDX 1.6 as we need.
type bill struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	URL        string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bom:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return errors.New("usage: bom VERSION TIME FILE [FILE ...]")
	}
	if _, err := time.Parse(time.RFC3339, args[1]); err != nil {
		return err
	}
	b, err := newBill(args[0], args[1], args[2:])
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(b)
}

// newBill reads the programs in files, each named after the two directories and
// the file at the end of its path.
func newBill(version, at string, files []string) (bill, error) {
	all := component{Type: "application", Ref: "smap", Name: "smap", Version: version}
	b := bill{Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: metadata{Timestamp: at, Component: all}}
	modules := make(map[string]component)
	top := dependency{Ref: all.Ref}
	for _, file := range files {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return b, err
		}
		dir := filepath.Dir(file)
		name := filepath.Base(dir) + "/" + filepath.Base(file)
		program := component{Type: "application", Ref: name, Name: name, Version: version}
		for _, s := range info.Settings {
			if s.Key == "GOOS" || s.Key == "GOARCH" || s.Key == "-tags" {
				program.Properties = append(program.Properties, property{"go:" + s.Key, s.Value})
			}
		}
		b.Components = append(b.Components, program)
		top.DependsOn = append(top.DependsOn, name)
		links := dependency{Ref: name}
		for _, m := range linked(info) {
			modules[m.Ref] = m
			links.DependsOn = append(links.DependsOn, m.Ref)
		}
		b.Dependencies = append(b.Dependencies, links)
	}
	b.Dependencies = append([]dependency{top}, b.Dependencies...)
	b.Components = append(b.Components, slices.SortedFunc(maps.Values(modules), func(x, y component) int {
		return cmp.Compare(x.Ref, y.Ref)
	})...)
	return b, nil
}

// linked are the modules in a program, the standard library first.
func linked(info *buildinfo.BuildInfo) []component {
	found := []component{module("std", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		found = append(found, module(m.Path, m.Version, m.Sum))
	}
	return found
}

func module(path, version, sum string) component {
	url := "pkg:golang/" + path + "@" + version
	m := component{Type: "library", Ref: url, Name: path, Version: version, URL: url}
	if sum != "" {
		m.Properties = []property{{"go:sum", sum}} // go.sum's hash of the module's tree, not of a file
	}
	return m
}
