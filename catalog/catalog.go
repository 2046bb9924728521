// Package catalog holds the operations of known services as data: it turns the
// shape of a request on the wire into operations, each with its effect and its
// resource. What nobody classified is irreversible.
//
// It decides nothing and keeps no state. Its answers are only ever stricter
// than the truth: a request counts as a read only when its whole shape says so.
package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ambit"
)

// Request is the shape of one HTTP request, already decoded once. The zero
// value is refused.
type Request struct {
	Kind   string // one of Kinds
	Scheme string // "https", "http", "wss" or "ws"
	Host   string // lower case, no port, no trailing dot; IPv6 without brackets
	Port   int    // 0 means the scheme's default
	Method string // as on the wire: methods are case-sensitive (RFC 9110 section 9.1)

	// Segments is the path, split at "/" and then decoded; none for "/".
	Segments      []string
	TrailingSlash bool
	Query         string // raw, without "?"

	// Upgrade is "websocket" when the request asks to leave HTTP, also over
	// HTTP/2 (RFC 8441); a field of that name in Header counts as well.
	Upgrade string

	// Header returns all values of a field, like net/http's Header.Values.
	// nil means a request without fields.
	Header func(name string) []string

	// Body is the beginning of the body, when BodyLimit asked for it, and
	// BodyWhole says that it is all of it.
	Body      []byte
	BodyWhole bool

	// Proven says whether a push from old to new was shown to keep old, by what
	// its own pack does not hold. nil shows nothing.
	Proven func(old, new string) bool

	// Service is what the grants file says of this service.
	Service Service
}

// Service is what only the owner of a service can know, as the grants file
// declares it. The zero value declares nothing.
type Service struct {
	Git     bool      // serves git over HTTP, on any path of the host
	Reads   []Pattern // paths whose POSTs only read, such as "/*/_search"
	GraphQL []Pattern // paths that speak GraphQL, beside ".../graphql"
}

// Call is one operation that a request would perform. A request with several
// calls may pass only when all of them may.
type Call struct {
	Operation string
	Effect    ambit.Effect
	Resource  ambit.Resource
}

// Operation describes one known operation of a kind of service.
type Operation struct {
	Name    string
	Effect  ambit.Effect
	Summary string
}

// ErrOverride is the error of a request that names a second method, which the
// service may obey instead of the first.
var ErrOverride = errors.New("cannot classify request: it overrides its own method; send the method itself")

// Classify says what r would do: at least one call, or an error when r must be
// refused whatever the grants say.
func Classify(r Request) ([]Call, error) {
	k, ok := kindOf(r.Kind)
	if !ok {
		return nil, fmt.Errorf("cannot classify request: service kind %q is none of %s", r.Kind, strings.Join(Kinds(), ", "))
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	calls, err := k.classify(&r)
	if err != nil {
		return nil, err
	}
	calls = r.pushes(calls)
	if len(calls) == 0 {
		return nil, errors.New("cannot classify request: it names no operation")
	}
	for i := range calls {
		calls[i].Effect = calls[i].Effect.Worst()
		if err := calls[i].Resource.Check(); err != nil {
			return nil, err
		}
	}
	return calls, nil
}

// BodyLimit says how many bytes of the body Classify wants to see: 0 for most
// requests. A caller that gives fewer gets a stricter answer. Of a push it may want
// more when Body holds what it wanted before; it never wants fewer.
func BodyLimit(r Request) int {
	switch {
	case r.speaksGraphQL(), r.isLFS():
		return maxBody
	case r.isReceivePack():
		return r.pushLimit()
	case r.wantsRef():
		return maxRefBody
	case r.isForm():
		return maxForm
	}
	return 0
}

// Bounds of what is read of a body, in bytes.
const (
	maxBody = 256 << 10
	maxForm = 256 << 10
)

// Hosts lists the hosts that a kind stands for when the grants file names
// none; nil for a kind that has no hosts of its own, such as "http".
func Hosts(kind string) []string {
	k, ok := kindOf(kind)
	if !ok || k.hosts == "" {
		return nil
	}
	return strings.Fields(string(k.hosts))
}

// Operations lists the known operations of a kind, sorted by name.
func Operations(kind string) []Operation {
	k, ok := kindOf(kind)
	if !ok {
		return nil
	}
	ops := httpOperations()
	if k.table != nil {
		ops = append(ops, k.table().ops...)
	}
	slices.SortFunc(ops, func(a, b Operation) int { return strings.Compare(a.Name, b.Name) })
	return ops
}

// Known says whether op is an operation of kind.
func Known(kind, op string) bool {
	return slices.ContainsFunc(Operations(kind), func(o Operation) bool { return o.Name == op })
}
