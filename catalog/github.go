package catalog

import (
	_ "embed"
	"errors"
	"strings"
	"sync"

	"ambit"
)

//go:embed data/github.txt
var githubData string

//go:embed data/github-graphql.txt
var githubGraphQLData string

var githubTable = sync.OnceValue(func() *table { return mustTable(githubData) })

var githubMutations = sync.OnceValue(func() map[string]entry {
	m, err := parseMutations(githubGraphQLData)
	if err != nil {
		panic(err) // part of the program; a test reads it
	}
	return m
})

// parseMutations reads lines of "field operation effect".
func parseMutations(data string) (map[string]entry, error) {
	m := make(map[string]entry)
	for line := range strings.Lines(data) {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) != 3 || m[f[0]].op != "" {
			return nil, errors.New("cannot read mutations: " + strings.TrimSpace(line))
		}
		e := entry{op: f[1]}
		if err := e.effect.UnmarshalText([]byte(f[2])); err != nil {
			return nil, err
		}
		m[f[0]] = e
	}
	return m, nil
}

// classifyGitHub tells GitHub's hosts apart: each speaks one protocol. Any other
// host is a server of one's own, which serves all of them.
func classifyGitHub(r *Request) ([]Call, error) {
	if c, ok, err := r.upgrade(); ok || err != nil {
		c.Effect = ambit.Irreversible // GitHub publishes no WebSocket
		return one(c, err)
	}
	switch r.Host {
	case "api.github.com":
		return r.githubAPI(r.Segments)
	case "uploads.github.com":
		return one(r.githubREST(r.Segments))
	case "github.com":
		return one(r.githubWeb())
	case "raw.githubusercontent.com":
		return one(r.githubFile("github.contents.get"))
	case "codeload.github.com":
		return one(r.githubFile("github.archive.get"))
	}
	return r.githubServer()
}

// githubServer is a host that serves all: git and pages at the root, REST at
// /api/v3, GraphQL at /api/graphql (GitHub Enterprise Server), and REST also
// at the root (a stand-in for api.github.com).
func (r *Request) githubServer() ([]Call, error) {
	if _, _, ok := r.gitShape(); ok && len(r.Segments) > 2 && !githubRoot(r.Segments[0]) {
		return one(r.githubWeb())
	}
	if segs := r.restSegments(); len(segs) < len(r.Segments) {
		return r.githubAPI(segs)
	}
	if len(r.Segments) == 2 && r.Segments[0] == "api" && r.Segments[1] == "graphql" {
		return r.githubAPI(r.Segments[1:])
	}
	return r.githubAPI(r.Segments)
}

// githubRoot says whether a first segment belongs to the REST API.
func githubRoot(s string) bool {
	for _, method := range []string{"GET", "POST"} {
		if root := githubTable().roots[method]; root != nil && root.literal(strings.ToLower(s)) != nil {
			return true
		}
	}
	return false
}

func (r *Request) githubAPI(segs []string) ([]Call, error) {
	if len(segs) == 1 && segs[0] == "graphql" && r.speaksGraphQL() {
		return r.graphQL(graphRules{
			query:    Call{"github.graphql.query", ambit.Read, r.resource()},
			confined: true,
			mutation: githubMutation,
		})
	}
	return one(r.githubREST(segs))
}

func githubMutation(field string) (string, ambit.Effect, bool) {
	e, ok := githubMutations()[field]
	if !ok {
		return "github.graphql.mutation", ambit.Irreversible, true
	}
	return e.op, e.effect, true
}

// githubREST classifies by the table, which holds all that GitHub publishes.
// What it does not list is irreversible, also a GET: some of them start work.
func (r *Request) githubREST(segs []string) (Call, error) {
	if len(segs) > 0 && segs[0] != strings.ToLower(segs[0]) && githubRoot(segs[0]) {
		// A server that ignores case would serve a resource that no pattern names.
		return Call{}, errors.New("cannot classify request: the path's first word must be lower case")
	}
	lowered := r.lowerRepo(segs)
	e := githubTable().find(r.Method, segs)
	// A form that may name another method could do more than what is listed: it is not
	// that operation, whose effect is the listed one.
	if e == nil || r.hiddenForm() && e.effect != ambit.Irreversible || r.TrailingSlash && e.effect == ambit.Read && r.Method == "POST" {
		c := lowered.generic()
		c.Effect = ambit.Irreversible
		return c, nil
	}
	c := Call{e.op, e.effect, lowered.resource()}
	if e.op == opMoveRef && !r.keepsCommits(segs) {
		c.Operation, c.Effect = opForceRef, ambit.Irreversible
	}
	if len(segs) >= 3 && segs[0] == "repos" {
		res, err := repoResource(segs[1], segs[2])
		if err != nil {
			return Call{}, err
		}
		c.Resource = r.below(res, c.Operation, segs)
	}
	return c, nil
}

// lowerRepo is r with the owner and name in lower case, as GitHub itself takes
// them: one repository must not have two spellings.
func (r *Request) lowerRepo(segs []string) *Request {
	if len(segs) < 2 || segs[0] != "repos" {
		return r
	}
	at := len(r.Segments) - len(segs)
	l := *r
	l.Segments = append([]string(nil), r.Segments...)
	for i := at + 1; i < min(at+3, len(l.Segments)); i++ {
		l.Segments[i] = lowerASCII(l.Segments[i])
	}
	return &l
}

// githubWeb is github.com: git itself, and pages and files of a repository.
func (r *Request) githubWeb() (Call, error) {
	if c, repo, ok := r.gitShape(); ok && len(repo) == 2 {
		res, err := repoResource(repo[0], strings.TrimSuffix(repo[1], ".git"))
		c.Resource = res
		return c, err
	}
	return r.githubFile("github.web.get")
}

// githubFile is a read below /owner/name; anything else is unlisted.
func (r *Request) githubFile(op string) (Call, error) {
	if r.Method != "GET" && r.Method != "HEAD" || len(r.Segments) < 2 {
		return r.unlisted(), nil
	}
	res, err := repoResource(r.Segments[0], strings.TrimSuffix(r.Segments[1], ".git"))
	if err != nil {
		return r.unlisted(), nil
	}
	return Call{op, ambit.Read, res}, nil
}

// repoResource is a repository in its one spelling: GitHub's names are ASCII
// and ignore case. None ends in .git, which stands behind the name in git's own
// addresses: with it, one repository would have two names, and one that a line takes
// out would be there under the other.
func repoResource(owner, name string) (ambit.Resource, error) {
	if !repoWord(owner) || !repoWord(name) || strings.HasSuffix(lowerASCII(name), ".git") {
		return ambit.Resource{}, errors.New("cannot classify request: " + clip(owner) + "/" + clip(name) + " is no repository's name")
	}
	return ambit.NewResource("repo", lowerASCII(owner), lowerASCII(name))
}

func repoWord(s string) bool {
	if s == "" || len(s) > 100 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && s[i] != '-' && s[i] != '_' && s[i] != '.' {
			return false
		}
	}
	return true
}

// lowerASCII leaves all but A to Z as it is: strings.ToLower would turn the
// Kelvin sign into a k, and so one name into another.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 0x20
		}
	}
	return string(b)
}
