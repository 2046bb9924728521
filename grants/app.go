package grants

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// appVariable is where tools look for GitHub's token, when the file does not say.
const appVariable = "GITHUB_TOKEN"

// maxAppRepositories is how many repositories GitHub takes for one token.
const maxAppRepositories = 500

// AppScope is what the tokens of an App are for: what the lines of its service name.
type AppScope struct {
	Owner        string
	Repositories []string // their names, sorted; empty with All
	All          bool     // whatever the App's installation has
	// Permissions are those that the granted operations need, by name, with a level.
	Permissions map[string]string
}

// App returns what the tokens of a service's App are for, false when it has none.
func (g *Grants) App(service string) (AppScope, bool) {
	s, ok := g.Service(service)
	if !ok || s.Credential == nil || s.Credential.App == 0 {
		return AppScope{}, false
	}
	scope, _, why := g.appScope(s.Name.Value)
	return scope, why == ""
}

// apps reports what the tokens of Apps cannot be for. A token is one owner's, and for
// repositories by name or for all of them: with one for more than the lines give, only
// Ambit would stand between the agent and the rest.
func (c *compiler) apps() {
	for i := range c.g.services {
		s := &c.g.services[i]
		cred := s.Credential
		if cred == nil || cred.App == 0 {
			continue
		}
		k, _ := c.kinds.find(s.Kind.Value)
		if k.Permissions == nil {
			c.service(s, cred.Pos, "use kind: github, or write where the secret is kept", "a service of kind %s has no App", s.Kind.Value)
			continue
		}
		if s.Scheme.Value != "https" {
			c.service(s, cred.Pos, "use scheme: https", "the token of an App would travel over plain HTTP")
		}
		if _, at, why := c.g.appScope(s.Name.Value); why != "" {
			if at == (Pos{}) {
				at = cred.Pos
			}
			c.service(s, at, "name repositories of one owner, in full (acme/web) or all of them (acme/*), with operations that an App can perform", "%s", why)
		}
	}
}

// appScope gathers the lines of a service, or says why no token is for exactly that,
// and where.
func (g *Grants) appScope(service string) (a AppScope, at Pos, why string) {
	a.Permissions = map[string]string{}
	k := g.kindOf(service)
	names := map[string]bool{}
	for _, r := range g.rules {
		if r.service != service {
			continue
		}
		for i, p := range r.patterns {
			if p.kind != k.Resource {
				a.paths(r, p, k)
				continue
			}
			at = r.line.Patterns[i].Pos
			owner, name, why := repository(p)
			switch {
			case why != "":
				return a, at, why
			case a.Owner != "" && a.Owner != owner:
				return a, at, fmt.Sprintf("the token of an App is for one owner, and these lines are about %s and %s", a.Owner, owner)
			}
			if e, ok := r.withoutRepository(p.kind); ok {
				return a, at, "the token of an App is for all repositories of an owner or for those that are named, and this line takes " + show(e.String()) + " out again"
			}
			a.Owner = owner
			if name == "*" {
				a.All = true
			} else {
				names[name] = true
			}
			a.need(r, k)
		}
	}
	return a.whole(names)
}

// whole completes the scope, or says why it is none.
func (a AppScope) whole(names map[string]bool) (AppScope, Pos, string) {
	switch {
	case a.Owner == "":
		return a, Pos{}, "the token of an App is for repositories, and no line names one"
	case !a.All && len(names) > maxAppRepositories:
		return a, Pos{}, fmt.Sprintf("the token of an App is for %d repositories at most, and the lines name %d", maxAppRepositories, len(names))
	case len(a.Permissions) == 0:
		return a, Pos{}, "no operation that the lines give is one for which an App can be given a permission"
	}
	if !a.All {
		a.Repositories = slices.Sorted(maps.Keys(names))
	}
	return a, Pos{}, ""
}

// withoutRepository returns an exception of the line that takes out whole repositories,
// which the token would be for all the same.
func (r *rule) withoutRepository(kind string) (pattern, bool) {
	i := slices.IndexFunc(r.except, func(e pattern) bool { return e.kind == kind })
	if i < 0 {
		return pattern{}, false
	}
	return r.except[i], true
}

// repository reads a pattern as an owner and a repository's name, or "*".
func repository(p pattern) (owner, name, why string) {
	segs := p.segs
	if p.tail && !p.self { // a repository itself stands for its refs too
		segs = append(slices.Clone(segs), "*")
	}
	if len(segs) != 2 || strings.Contains(segs[0], "*") || strings.Contains(segs[1], "*") && segs[1] != "*" {
		return "", "", "the token of an App is for repositories by name, and " + show(p.String()) + " is a wildcard for some"
	}
	return segs[0], segs[1], ""
}

// need adds what a line's operations need.
func (a *AppScope) need(r *rule, k Kind) {
	for _, o := range k.Operations {
		if r.fits(o.Effect.Worst()) && r.operation(o.Name) {
			a.add(k.Permissions(o.Name))
		}
	}
}

func (a *AppScope) add(permissions []string) {
	for _, p := range permissions {
		name, level, _ := strings.Cut(p, ":")
		if a.Permissions[name] != "write" {
			a.Permissions[name] = level
		}
	}
}

// paths adds what a line about paths of the host needs. One for GraphQL gives the
// operations that it names, on all repositories of the token; other paths are of no
// repository.
func (a *AppScope) paths(r *rule, p pattern, k Kind) {
	if !p.covers([]string{p.segs[0], "graphql"}) && !p.covers([]string{p.segs[0], "api", "graphql"}) {
		return
	}
	for _, o := range k.Operations {
		if r.fits(o.Effect.Worst()) && slices.Contains(r.ops, o.Name) {
			a.add(k.Permissions(o.Name))
		}
	}
}

// words says what the tokens are for.
func (a AppScope) words() string {
	what := "all repositories of " + a.Owner + " that it is installed on"
	if !a.All {
		what = join(a.full())
	}
	var perms []string
	for _, name := range slices.Sorted(maps.Keys(a.Permissions)) {
		perms = append(perms, name+":"+a.Permissions[name])
	}
	return what + " with the permissions " + join(perms)
}

func (a AppScope) full() (out []string) {
	for _, r := range a.Repositories {
		out = append(out, a.Owner+"/"+r)
	}
	return out
}
