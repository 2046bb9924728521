package keeper

import (
	"errors"

	"ambit/catalog"
	"ambit/gate/web"
	"ambit/grants"
)

// Kinds gives the grants what the catalog knows. File patterns start at the
// workspace and, with "~", at home.
func Kinds(workspace, home string) grants.Kinds {
	k := grants.DefaultKinds()
	k.Workspace, k.Home = workspace, home
	k.Classify, k.Bodies, k.Statements = classify, bodies, statements()
	k.Group = catalog.Group
	k.Refs = func(op string) grants.RefUse { return grants.RefUse(catalog.Refs(op)) }
	k.CheckPath = func(path string) error {
		_, err := catalog.ParsePattern(path)
		return err
	}
	for i := range k.List {
		// What the catalog can answer for plain HTTP, a line can name.
		if k.List[i].Name == "http" {
			k.List[i].Operations, k.List[i].Load = nil, operations("http")
		}
	}
	bearer := grants.Inject{Header: "Authorization", Format: "Bearer {}"}
	github := kindOf("github", "repo", 2, "acme/web", bearer, true)
	github.Permissions = catalog.GitHubPermissions
	k.List = append(k.List, github,
		kindOf("anthropic", "api", 0, "messages", grants.Inject{Header: "X-Api-Key", Format: "{}"}, false),
		kindOf("openai", "api", 0, "responses", bearer, false),
	)
	return k
}

func kindOf(name, resource string, segments int, example string, in grants.Inject, fold bool) grants.Kind {
	return grants.Kind{
		Name: name, Hosts: catalog.Hosts(name), Resource: resource, Segments: segments, Example: example, FoldCase: fold, Inject: in,
		Load: operations(name),
	}
}

// operations reads a kind's table when a file names the kind.
func operations(name string) func() []grants.Operation {
	return func() []grants.Operation {
		return convert(catalog.Operations(name), func(o catalog.Operation) grants.Operation { return grants.Operation(o) })
	}
}

// declared is what the grants file says of a service, for the catalog. A path
// that the catalog cannot read is an error of loading; whoever gets here with
// one all the same gets an error too, because a GraphQL path that is left out
// would make a mutation a mere post.
func declared(s *grants.Service) (out catalog.Service, err error) {
	if s == nil {
		return out, nil
	}
	patterns := func(ts []grants.Text) (ps []catalog.Pattern) {
		for _, t := range ts {
			p, e := catalog.ParsePattern(t.Value)
			ps, err = append(ps, p), errors.Join(err, e)
		}
		return ps
	}
	out = catalog.Service{Git: s.Git, Reads: patterns(s.Reads), GraphQL: patterns(s.GraphQL)}
	return out, err
}

func convert[A, B any](in []A, f func(A) B) []B {
	if in == nil {
		return nil
	}
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = f(a)
	}
	return out
}

// classifier is the catalog, as the web gate asks for it.
type classifier struct {
	services map[string]catalog.Service
	broken   map[string]error // services of which nothing is known for sure
}

func newClassifier(g *grants.Grants) classifier {
	c := classifier{services: map[string]catalog.Service{}, broken: map[string]error{}}
	for _, s := range g.Services() {
		d, err := declared(&s)
		if err != nil {
			c.broken[s.Name.Value] = err
		}
		c.services[s.Name.Value] = d
	}
	return c
}

func (c classifier) request(r web.Request) catalog.Request {
	return catalog.Request{
		Kind: r.Kind, Scheme: r.Scheme, Host: r.Host, Port: int(r.Port), Method: r.Method, Segments: r.Segments, TrailingSlash: r.TrailingSlash,
		Query: r.Query, Upgrade: r.Upgrade, Header: r.Header.Values, Body: r.Body, BodyWhole: r.BodyWhole, Proven: r.Proven, Service: c.services[r.Service],
	}
}

// BodyLimit implements [web.Classifier].
func (c classifier) BodyLimit(r web.Request) int64 { return int64(catalog.BodyLimit(c.request(r))) }

// Classify implements [web.Classifier].
func (c classifier) Classify(r web.Request) ([]web.Call, error) {
	if err := c.broken[r.Service]; err != nil {
		return nil, err
	}
	calls, err := catalog.Classify(c.request(r))
	return convert(calls, func(x catalog.Call) web.Call { return web.Call(x) }), err
}
