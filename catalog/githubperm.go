package catalog

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed data/github-permissions.txt
var githubPermissionsData string

var githubPermissions = sync.OnceValue(func() permissions {
	p, err := parsePermissions(githubPermissionsData)
	if err != nil {
		panic(err) // part of the program; a test reads it
	}
	return p
})

// permissions are what operations need, by whole name, or by beginning with a *.
type permissions map[string][]string

// GitHubPermissions lists what a GitHub App's token needs for an operation, as
// GitHub's name and a level: "contents:read". It is nil for an operation that no App
// is given anything for. The caller must not change it.
func GitHubPermissions(operation string) []string { return githubPermissions().of(operation) }

func (p permissions) of(operation string) []string {
	if need, ok := p[operation]; ok {
		return need
	}
	for n := len(operation); n > 0; n-- {
		if need, ok := p[operation[:n]+"*"]; ok {
			return need
		}
	}
	return nil
}

func parsePermissions(data string) (permissions, error) {
	p := make(permissions)
	for line := range strings.Lines(data) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if len(f) < 2 || p[f[0]] != nil {
			return nil, fmt.Errorf("cannot read permissions: %s needs none, or is there twice", f[0])
		}
		for _, need := range f[1:] {
			if name, level, ok := strings.Cut(need, ":"); !ok || name == "" || !slices.Contains([]string{"read", "write"}, level) {
				return nil, fmt.Errorf("cannot read permissions: %s: %s", f[0], need)
			}
		}
		p[f[0]] = f[1:]
	}
	return p, nil
}
