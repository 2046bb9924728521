package catalog

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"ambit"
	"ambit/catalog/git"
)

//go:embed data/github-refs.txt
var githubRefsData string

var githubRefs = sync.OnceValue(func() map[string]refRule {
	m, err := parseRefs(githubRefsData)
	if err != nil {
		panic(err) // part of the program; a test reads it
	}
	return m
})

// RefUse says what an operation has to do with the branches and tags of a repository.
// The zero value is an operation that changes none.
type RefUse struct {
	Touches bool   // it creates, moves, deletes, protects or runs one
	Under   string // what the names in its resource begin with, such as "refs/heads/"; "" when it never names one
}

// Refs says what an operation does with branches and tags. One that it names stands
// in the resource, behind the repository; where a request does not say which one it
// touches, or says it in a way that could be read as another, the resource is the
// repository alone.
func Refs(op string) RefUse {
	rule, ok := githubRefs()[op]
	return RefUse{Touches: ok, Under: rule.under}
}

// refRule is where the requests of an operation name the ref that they touch.
type refRule struct {
	from   string // "body", "path", "push" or "" for nowhere
	member string // of the body
	under  string
}

// parseRefs reads lines of "operation place beginning".
func parseRefs(data string) (map[string]refRule, error) {
	m := make(map[string]refRule)
	for line := range strings.Lines(data) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		var r refRule
		if len(f) == 3 && f[1] != "-" {
			r.from, r.member, _ = strings.Cut(f[1], ".")
			r.under = f[2]
		}
		known := r.from == "body" && r.member != "" || (r.from == "path" || r.from == "push") && r.member == ""
		below := r.under == "refs/" || r.under == "refs/heads/" || r.under == "refs/tags/"
		if _, twice := m[f[0]]; twice || len(f) != 3 || (f[1] == "-") != (f[2] == "-") || f[1] != "-" && (!known || !below) {
			return nil, fmt.Errorf("cannot read refs: %s", strings.TrimSpace(line))
		}
		m[f[0]] = r
	}
	return m, nil
}

// maxRefBody is how much of a body is read for the name of a branch, in bytes: what is
// longer is a large file, for which there is git.
const maxRefBody = 1 << 20

// wantsRef says whether the body of the request names a branch or tag.
func (r *Request) wantsRef() bool {
	if r.Kind != "github" || r.Method == "GET" || r.Method == "HEAD" {
		return false
	}
	e := githubTable().find(r.Method, r.restSegments())
	return e != nil && (githubRefs()[e.op].from == "body" || e.op == opMoveRef)
}

// A ref is moved forward, or so that it may lose what it had. A push makes the same
// difference.
const (
	opMoveRef  = "github.git.refs.update"
	opForceRef = "github.git.refs.force"
)

// keepsCommits says whether GitHub moves the ref of the request only to commits on top of
// its own: a branch's, and without force, which is not there by default. A tag stands for
// one commit.
func (r *Request) keepsCommits(segs []string) bool {
	if r.Query != "" || r.TrailingSlash || len(segs) < 7 || segs[5] != "heads" || !r.jsonBody() {
		return false
	}
	v, err := strictJSON(r.Body)
	m, ok := v.(map[string]any)
	if err != nil || !ok {
		return false
	}
	for name, v := range m {
		if foldKey(name) == "force" && (name != "force" || v != false) {
			return false
		}
	}
	return true
}

// restSegments are the segments of the path that REST's own begin with.
func (r *Request) restSegments() []string {
	if r.Host != "api.github.com" && len(r.Segments) > 2 && r.Segments[0] == "api" && r.Segments[1] == "v3" {
		return r.Segments[2:]
	}
	return r.Segments
}

// below puts the ref that a request touches behind its repository. Whatever GitHub
// might read otherwise is no ref: a query beside the body, a member that is there
// twice, a name that is found among branches or tags by its beginning.
func (r *Request) below(repo ambit.Resource, op string, segs []string) ambit.Resource {
	rule := githubRefs()[op]
	if rule.from == "" || r.Query != "" || r.TrailingSlash {
		return repo
	}
	name := ""
	switch {
	case rule.from == "body":
		name = r.bodyMember(rule.member)
	case rule.under == "refs/" && len(segs) > 5: // /repos/{o}/{r}/git/refs/{ref...}
		name = "refs/" + strings.Join(segs[5:], "/")
	case rule.under == "refs/heads/" && len(segs) > 4: // /repos/{o}/{r}/branches/{branch}/…
		name = segs[4]
	}
	ref, ok := canonicalRef(rule.under, name)
	if !ok {
		return repo
	}
	out := ambit.Resource{Kind: repo.Kind, Segments: append(repo.Segments[:len(repo.Segments):len(repo.Segments)], strings.Split(ref, "/")...)}
	if out.Check() != nil {
		return repo
	}
	return out
}

// bodyMember is a text in the JSON body; "" when there is none that every reader finds.
func (r *Request) bodyMember(name string) string {
	if !r.jsonBody() {
		return ""
	}
	v, err := strictJSON(r.Body)
	if err != nil {
		return ""
	}
	m, _ := v.(map[string]any)
	s, _ := m[name].(string)
	return s
}

// canonicalRef is the whole name of a ref. under is what it begins with: a name below
// "refs/heads/" is written without it, one below "refs/" is whole. ok is false for
// what git takes for no branch or tag, or for another one: GitHub itself, its clients
// and git look a name up with "refs/" and "heads/" before it and without.
func canonicalRef(under, name string) (ref string, ok bool) {
	whole := name
	if under != "refs/" {
		whole = under + name
	}
	kind, short, ok := strings.Cut(strings.TrimPrefix(whole, "refs/"), "/")
	if !ok || !strings.HasPrefix(whole, "refs/") || kind != "heads" && kind != "tags" && kind != "notes" {
		return "", false
	}
	first, _, _ := strings.Cut(short, "/")
	switch lowerASCII(first) {
	case "refs", "heads", "tags", "remotes", "notes", "pull", "head", "fetch_head", "orig_head", "merge_head":
		return "", false
	}
	odd := strings.HasPrefix(short, "-") || short == "@" || isObjectID([]byte(short)) || strings.ContainsFunc(whole, func(c rune) bool { return c == unicode.ReplacementChar || !unicode.IsGraphic(c) || unicode.IsSpace(c) })
	return whole, !odd && git.IsRef(whole)
}
