package keeper

import (
	"fmt"
	"slices"
	"strings"

	"ambit/catalog"
	"ambit/grants"
)

// classify says what a request that a person wrote down would do, sent with the
// content type that tools give it. Its body is not known, so that what the body
// decides is taken for the worst.
func classify(r grants.Request) ([]grants.Call, error) {
	q, err := asSent(r)
	if err != nil {
		return nil, err
	}
	return classified(q)
}

func classified(q catalog.Request) ([]grants.Call, error) {
	calls, err := catalog.Classify(q)
	return convert(calls, func(c catalog.Call) grants.Call { return grants.Call(c) }), err
}

// asSent is the request as tools send it, without its body.
func asSent(r grants.Request) (catalog.Request, error) {
	service, err := declared(r.Service)
	q := catalog.Request{
		Kind: r.Kind, Scheme: r.Scheme, Host: r.Host, Port: r.Port, Method: r.Method, Segments: r.Segments,
		TrailingSlash: r.TrailingSlash, Query: r.Query, Service: service,
	}
	if kind := usualType(q); kind != "" {
		q.Header = func(name string) []string {
			if name == "Content-Type" {
				return []string{kind}
			}
			return nil
		}
	}
	return q, err
}

// usualType is the content type with which tools send such a request, where the
// catalog tells types apart; "" elsewhere.
func usualType(q catalog.Request) string {
	switch {
	case q.Method != "POST":
		return ""
	case len(q.Segments) == 0:
		return "application/json"
	case isPack(last(q.Segments)):
		return "application/x-" + last(q.Segments) + "-request" // gitprotocol-http, "Smart Clients"
	case isLFS(q.Segments):
		return "application/vnd.git-lfs+json" // git-lfs docs/api/batch.md
	case catalog.BodyLimit(q) > 0:
		return "application/json" // a POST without a type could be a form that names another method
	}
	return ""
}

func last(segs []string) string { return segs[len(segs)-1] }

func isPack(s string) bool {
	return s == "git-upload-pack" || s == "git-upload-archive" || s == "git-receive-pack"
}

func isLFS(segs []string) bool {
	for i := range segs {
		if i > 0 && i+1 < len(segs) && segs[i-1] == "info" && segs[i] == "lfs" {
			return true
		}
	}
	return false
}

// body is one sort of body, with the smallest of its sort.
type body struct{ words, bytes string }

// bodies lists what a request does by its body; nil when the body does not
// matter. Each case is what the catalog says of a real body.
func bodies(r grants.Request) []grants.BodyCase {
	q, err := asSent(r)
	if err != nil || catalog.BodyLimit(q) == 0 || len(q.Segments) == 0 || q.Method != "POST" {
		return nil
	}
	unread, err := classified(q)
	if err != nil {
		return nil
	}
	var out []grants.BodyCase
	decides := false
	for _, b := range sorts(q) {
		q.Body, q.BodyWhole = []byte(b.bytes), true
		q.Proven = func(_, _ string) bool { return true } // the words say so
		calls, err := classified(q)
		if err != nil {
			return nil
		}
		out = append(out, grants.BodyCase{Body: b.words, Calls: calls})
		decides = decides || !slices.EqualFunc(calls, unread, sameCall)
	}
	if !decides {
		return nil
	}
	return out
}

func sameCall(a, b grants.Call) bool {
	return a.Operation == b.Operation && a.Effect == b.Effect && a.Resource.Kind == b.Resource.Kind && slices.Equal(a.Resource.Segments, b.Resource.Segments)
}

// sorts lists the sorts of body that the catalog tells apart.
func sorts(q catalog.Request) []body {
	switch {
	case last(q.Segments) == "git-receive-pack":
		return []body{{"a push of a new branch", push("0", "1")}, {"a push on top of a branch's commits", push("2", "1")}, {"a push that deletes a branch", push("2", "0")}}
	case isLFS(q.Segments):
		return []body{{"a download", `{"operation":"download"}`}, {"an upload", `{"operation":"upload"}`}}
	}
	mutation := "a mutation"
	if q.Kind == "github" {
		mutation = "a mutation that the catalog does not list"
	}
	return []body{{"a query", `{"query":"{a}"}`}, {mutation, `{"query":"mutation{a}"}`}}
}

// push is a push's one command, which makes main from one object another: their
// names are one digit over and over (gitprotocol-pack, "Reference Update Request").
func push(old, new string) string {
	line := strings.Repeat(old, 40) + " " + strings.Repeat(new, 40) + " refs/heads/main"
	return fmt.Sprintf("%04x%s0000", len(line)+4, line)
}
