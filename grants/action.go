package grants

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"ambit"
)

// ActionHelp tells how an action is written.
const ActionHelp = `write it as: http GET https://api.example.com/v1/items, files read src/main.go, tcp connect db.internal:5432,` +
	` or SERVICE OPERATION RESOURCE such as github pulls.create acme/web or shop select public.orders(id), or DATABASE sql STATEMENT`

// ParseAction reads an action as people write it:
//
//	http METHOD URL                  http DELETE https://api.github.com/repos/acme/web
//	SERVICE OPERATION RESOURCE       github pulls.create acme/web, files read src/main.go
//	DATABASE sql STATEMENT           shop sql SELECT id FROM public.orders
//	tcp connect HOST:PORT
//
// One request or statement can be several actions, and then happens only when all of them
// may. The task of the actions is empty. A request has no body here: what its
// body would decide is taken for the worst.
func (g *Grants) ParseAction(text string) ([]ambit.Action, error) {
	const most = 8 << 10
	f := strings.Fields(text)
	switch {
	case len(text) > most:
		return nil, fmt.Errorf("cannot read action: it has %d bytes, at most %d", len(text), most)
	case len(f) == 3 && f[0] == "http":
		return g.httpAction(f[1], f[2])
	case len(f) == 3 && f[0] == "tcp" && f[1] == "connect":
		return g.tcpAction(f[2])
	case len(f) >= 3:
		rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), f[0]))
		rest = strings.TrimSpace(strings.TrimPrefix(rest, f[1]))
		if s, ok := g.Service(f[0]); ok && s.IsDatabase() && f[1] == "sql" {
			return g.statementActions(&s, rest)
		}
		return g.namedAction(f[0], f[1], rest)
	}
	return nil, fmt.Errorf("cannot read action %s: %s", show(text), ActionHelp)
}

func (g *Grants) tcpAction(at string) ([]ambit.Action, error) {
	host, port, _ := strings.Cut(at, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("cannot read action: %s is not host:port", show(at))
	}
	service, _ := g.ServiceAt(host, int(n))
	a := ambit.Action{Agent: g.file.Agent.Value, Service: service, Operation: "tcp.connect", Effect: ambit.Write}
	a.Resource, err = ambit.NewResource("tcp", at)
	return []ambit.Action{a}, err
}

// namedAction is an operation of a service by its name.
func (g *Grants) namedAction(service, op, resource string) ([]ambit.Action, error) {
	c := &compiler{reporter: &reporter{}, kinds: g.kinds, g: g}
	s, k, ok := c.target(&Line{Service: Text{Value: service}})
	if !ok {
		return nil, fmt.Errorf("cannot read action: the file has no service %s; %s", show(service), ActionHelp)
	}
	ops := g.kinds.operations(k, op)
	if known := k.effects(strings.Join(ops, "")); len(ops) == 0 || len(ops) == 1 && (len(known) != 1 || known[0].Name != ops[0]) {
		return nil, fmt.Errorf("cannot read action: %s has no operation %s; %s", service, show(op), didYouMean(op, k.words(op)))
	}
	p, why := c.resource(resource, s, k)
	for _, seg := range p.segs {
		if wild(seg) {
			why = "has a wildcard: an action is about one thing"
		}
	}
	if why != "" || !p.self {
		return nil, fmt.Errorf("cannot read action: %s %s", show(resource), orElse(why, "has a wildcard: an action is about one thing"))
	}
	a := ambit.Action{Agent: g.file.Agent.Value, Service: service, Resource: ambit.Resource{Kind: p.kind, Segments: p.segs}}
	if p.kind == kindTable {
		a.Args = map[string]string{ArgColumns: ColumnsArg(p.columns, p.columns == nil)}
	}
	var out []ambit.Action
	for _, full := range ops {
		// Of a group about a ref, only what pushes it: large files belong to none.
		if len(ops) > 1 && k.Segments > 0 && len(p.segs) > k.Segments && !strings.HasPrefix(full, op+".") {
			continue
		}
		a.Operation, a.Effect = full, k.effects(full)[0].Effect
		out = append(out, a)
	}
	return out, a.Resource.Check()
}

func (g *Grants) httpAction(method, rawURL string) ([]ambit.Action, error) {
	r, err := g.httpRequest(method, rawURL)
	if err != nil {
		return nil, err
	}
	calls, err := g.kinds.classify(r.Request)
	if err != nil {
		return nil, fmt.Errorf("cannot read action: %w", err)
	}
	if len(calls) == 0 {
		return nil, errors.New("cannot read action: it does nothing that is known")
	}
	return g.actions(r, calls), nil
}

func (g *Grants) httpRequest(method, rawURL string) (r rawRequest, err error) {
	if r, err = splitURL(rawURL); err != nil {
		return r, err
	}
	if method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
		return r, fmt.Errorf("cannot read action: the method %s is not in capital letters", show(method))
	}
	r.Method, r.Kind, r.url = method, "web", rawURL
	r.service, _ = g.ServiceAt(r.Host, r.Port)
	slash := false
	if s, ok := g.Service(r.service); ok {
		if s.Scheme.Value != r.Scheme {
			return r, fmt.Errorf("cannot read action: the service %s is reached by %s", r.service, orElse(s.Scheme.Value, "tcp"))
		}
		r.Service, r.Kind, slash = &s, s.Kind.Value, s.EncodedSlash
	} else if r.Scheme != "https" {
		r.service = "" // a web line is about https
	}
	return r, r.decode(slash)
}

// actions are what the calls of a request are as actions.
func (g *Grants) actions(r rawRequest, calls []Call) (out []ambit.Action) {
	for _, c := range calls {
		out = append(out, ambit.Action{
			Agent: g.file.Agent.Value, Service: r.service, Operation: c.Operation, Effect: c.Effect, Resource: c.Resource,
			Args: map[string]string{"method": r.Method, "url": r.url},
		})
	}
	return out
}

// rawRequest is a request of which the path is not decoded yet.
type rawRequest struct {
	Request
	path    string
	url     string // as it was written
	service string // that answers there; "" for none
}

// splitURL takes an absolute http or https URL apart and refuses every spelling
// that two readers could understand differently (RFC 3986).
func splitURL(s string) (rawRequest, error) {
	bad := func(why string) (rawRequest, error) {
		return rawRequest{}, fmt.Errorf("cannot read action: the URL %s %s", show(s), why)
	}
	var r rawRequest
	scheme, rest, ok := strings.Cut(s, "://")
	if r.Scheme, r.Port = scheme, defaultPort(scheme); !ok || r.Port == 0 {
		return bad("begins with neither https:// nor http://")
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return bad("holds a character that must be percent-encoded")
		}
	}
	if strings.Contains(rest, "#") {
		return bad("has a fragment, which is never sent")
	}
	rest, r.Query, _ = strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	host, port, hasPort := strings.Cut(authority, ":")
	if why, _ := badHost(host); why != "" {
		return bad("has a host that " + why)
	}
	r.Host, r.path = host, path
	if hasPort {
		p, err := strconv.ParseUint(port, 10, 16)
		if err != nil || p == 0 || strconv.FormatUint(p, 10) != port {
			return bad("has no usable port")
		}
		r.Port = int(p)
	}
	return r, nil
}

// decode splits the path and decodes each segment once.
func (r *rawRequest) decode(encodedSlash bool) error {
	path := r.path
	if path == "" {
		return nil
	}
	if encodedSlash {
		path = strings.NewReplacer("%2f", "/", "%2F", "/").Replace(path)
	}
	path, r.TrailingSlash = strings.CutSuffix(path, "/")
	for raw := range strings.SplitSeq(path, "/") {
		seg, ok := decodeOnce(raw)
		if !ok {
			return fmt.Errorf("cannot read action: %s is not percent-encoded as it should be", show(raw))
		}
		if strings.ContainsAny(seg, "/\\") {
			return fmt.Errorf("cannot read action: %s hides a slash in a segment", show(raw))
		}
		r.Segments = append(r.Segments, seg)
	}
	return r.resource().Check()
}

// resource is the request's URL as a resource.
func (r *Request) resource() ambit.Resource {
	host := r.Host
	if r.Port != defaultPort(r.Scheme) {
		host += ":" + strconv.Itoa(r.Port)
	}
	return ambit.Resource{Kind: "http", Segments: append([]string{host}, r.Segments...)}
}

func orElse(s, t string) string {
	if s == "" {
		return t
	}
	return s
}
