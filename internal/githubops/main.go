// Command githubops writes the catalog's table of GitHub's REST API: every
// operation of the description that GitHub publishes, with the names and
// effects that were chosen by hand where there are any. Beside it stands the list of
// parameters that are named like a ref, about each of which refs.txt decides.
//
//	npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
//	go run ./internal/githubops package/generated/api.github.com.json
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
)

//go:embed curated.txt
var curated string

//go:embed rules.txt
var rules string

// What is written: the table, and the parameters that a person has to decide about.
const (
	target    = "catalog/data/github.txt"
	paramsOut = "internal/githubops/params.txt"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./internal/githubops api.github.com.json")
		os.Exit(64)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "cannot write the table:", err)
		os.Exit(1)
	}
}

func run(description string) error {
	text, err := os.ReadFile(description)
	if err != nil {
		return err
	}
	ops, err := read(bytes.NewReader(text))
	if err != nil {
		return err
	}
	table, err := write(ops, curated, rules)
	if err != nil {
		return err
	}
	named, err := readParams(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if err := os.WriteFile(paramsOut, writeParams(named), 0o644); err != nil {
		return err
	}
	return os.WriteFile(target, table, 0o644)
}
