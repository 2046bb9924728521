package catalog

import (
	"errors"
	"net/url"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"ambit"
)

// Bounds of GraphQL: real documents are far below them.
const (
	maxGraphQLTokens = 20_000
	maxGraphQLBatch  = 32
	maxGraphQLFields = 32 // of a mutation's root
)

// graphRules say what GraphQL operations are at one service.
type graphRules struct {
	query    Call
	confined bool                                                    // a query or mutation that stays inside repositories is theirs
	mutation func(field string) (op string, e ambit.Effect, ok bool) // by its name, not its alias
}

// speaksGraphQL says whether the request is GraphQL over HTTP: declared, or at
// a path that ends so. An undeclared endpoint is only ever judged stricter.
func (r *Request) speaksGraphQL() bool {
	switch r.Kind {
	case "http", "github":
		if r.declaredGraphQL() {
			break
		}
		fallthrough
	case "web":
		if len(r.Segments) == 0 || !strings.EqualFold(r.Segments[len(r.Segments)-1], "graphql") {
			return false
		}
	default:
		return false
	}
	return r.Method == "POST" || r.Method == "GET" && queryNames(r.Query, graphParams()...)
}

func graphParams() []string {
	return []string{"query", "operationName", "variables", "extensions", "id", "documentId", "doc_id"}
}

func (r *Request) declaredGraphQL() bool {
	for _, p := range r.Service.GraphQL {
		if p.Match(r.Segments) {
			return true
		}
	}
	return false
}

// openGraphQL are the rules of a service of which no mutations are known.
func (r *Request) openGraphQL() graphRules {
	q := r.generic()
	if r.declaredGraphQL() && !r.TrailingSlash {
		q = Call{"graphql.query", ambit.Read, q.Resource}
	}
	return graphRules{query: q, mutation: func(string) (string, ambit.Effect, bool) { return "", 0, false }}
}

// graphQL gives one call for each operation that the request runs. What cannot
// be read is one irreversible call.
func (r *Request) graphQL(rules graphRules) ([]Call, error) {
	reqs, err := r.graphRequests()
	if err != nil {
		return one(Call{"graphql.other", ambit.Irreversible, r.resource()}, nil)
	}
	var calls []Call
	for _, q := range reqs {
		cs, err := r.graphCalls(q, rules)
		if err != nil {
			return one(Call{"graphql.other", ambit.Irreversible, r.resource()}, nil)
		}
		calls = append(calls, cs...)
	}
	return calls, nil
}

// graphRequest is one request of GraphQL over HTTP.
type graphRequest struct {
	query, operation string
	vars             map[string]any
	odd              bool // the variables are no object: who knows what they are to the server
}

func (r *Request) graphRequests() ([]graphRequest, error) {
	if r.Method == "GET" {
		return r.graphGet()
	}
	// A server may take the query of the URL before that of the body.
	if r.Query != "" || !r.jsonBody() {
		return nil, errors.New("it is not plain GraphQL")
	}
	v, err := strictJSON(r.Body)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if len(list) == 0 || len(list) > maxGraphQLBatch {
		return nil, errors.New("the batch is empty or too long")
	}
	var reqs []graphRequest
	for _, v := range list {
		q, err := graphObject(v)
		if err != nil {
			return nil, err
		}
		reqs = append(reqs, q)
	}
	return reqs, nil
}

// jsonBody says whether every reader takes the body for JSON. GitHub reads
// JSON whatever the type says, as curl's default type; a form with one field
// and no separator cannot hold a second one.
func (r *Request) jsonBody() bool {
	if !r.plainBody() {
		return false
	}
	switch r.mediaType() {
	case "application/json":
		return true
	case "", "application/x-www-form-urlencoded":
		return r.Kind == "github" && !strings.ContainsAny(string(r.Body), "&;")
	}
	return false
}

func graphObject(v any) (graphRequest, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return graphRequest{}, errors.New("it is no object")
	}
	for name := range m {
		switch name {
		case "query", "operationName", "variables":
		case "extensions":
			// A persisted query's hash selects text that only the server has.
			if ext, ok := m[name].(map[string]any); !ok && m[name] != nil || len(ext) > 0 {
				return graphRequest{}, errors.New("it has extensions")
			}
		default:
			return graphRequest{}, errors.New("it has members that GraphQL does not know")
		}
	}
	q, ok := m["query"].(string)
	op, isText := m["operationName"].(string)
	if !ok || !isText && m["operationName"] != nil {
		return graphRequest{}, errors.New("it has no query")
	}
	g := graphRequest{query: q, operation: op}
	g.setVars(m["variables"])
	return g, nil
}

func (g *graphRequest) setVars(v any) {
	vars, ok := v.(map[string]any)
	g.vars, g.odd = vars, !ok && v != nil
}

func (r *Request) graphGet() ([]graphRequest, error) {
	v, err := url.ParseQuery(r.Query)
	if err != nil {
		return nil, err
	}
	for name, values := range v {
		if len(values) != 1 || name != "query" && name != "operationName" && name != "variables" {
			return nil, errors.New("it has parameters that are not plain GraphQL")
		}
	}
	g := graphRequest{query: v.Get("query"), operation: v.Get("operationName")}
	if text := v.Get("variables"); text != "" {
		vars, err := strictJSON([]byte(text))
		if err != nil {
			return nil, err
		}
		g.setVars(vars)
	}
	return []graphRequest{g}, nil
}

func (r *Request) graphCalls(q graphRequest, rules graphRules) ([]Call, error) {
	// Readers differ on which of these ends a comment's line.
	if strings.ContainsAny(strings.ReplaceAll(q.query, "\r\n", "\n"), "\r\u2028\u2029\x00") {
		return nil, errors.New("it holds an odd line end")
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: q.query}, maxGraphQLTokens)
	if err != nil {
		return nil, errors.New("it does not parse")
	}
	op, err := selectOperation(doc, q.operation)
	if err != nil {
		return nil, err
	}
	switch {
	case op.Operation == ast.Query && rules.confined && !q.odd:
		return r.githubQuery(doc, op, q.vars), nil
	case op.Operation == ast.Query:
		return []Call{rules.query}, nil
	case op.Operation == ast.Mutation && r.Method == "POST":
		return r.graphMutation(doc, op, q, rules)
	}
	return nil, errors.New("it is neither a query nor a posted mutation")
}

// selectOperation finds the one operation that every server runs (GraphQL
// specification, October 2021, section 6.1).
func selectOperation(doc *ast.QueryDocument, name string) (*ast.OperationDefinition, error) {
	var found *ast.OperationDefinition
	for _, op := range doc.Operations {
		if name != "" && op.Name != name {
			continue
		}
		if found != nil {
			return nil, errors.New("more than one operation could be meant")
		}
		found = op
	}
	if found == nil {
		return nil, errors.New("the operation is not there")
	}
	return found, nil
}

func (r *Request) graphMutation(doc *ast.QueryDocument, op *ast.OperationDefinition, q graphRequest, rules graphRules) ([]Call, error) {
	w := rootWalk{fragments: make(map[string]*ast.FragmentDefinition), seen: make(map[string]bool)}
	for _, f := range doc.Fragments {
		if w.fragments[f.Name] != nil {
			return nil, errors.New("a fragment is there twice")
		}
		w.fragments[f.Name] = f
	}
	if err := w.walk(op.SelectionSet); err != nil {
		return nil, err
	}
	calls := make([]Call, 0, len(w.fields))
	for _, field := range w.fields {
		if rules.confined && !q.odd {
			names := repoWalk{types: githubTypes(), doc: doc, op: op, vars: q.vars}
			if own, ok := names.commitOnBranch(field); ok {
				calls = append(calls, own...)
				continue
			}
		}
		c := Call{"graphql.mutation", ambit.Irreversible, r.resource()}
		if op, e, ok := rules.mutation(field.Name); ok {
			c.Operation, c.Effect = op, e
		}
		calls = append(calls, c)
	}
	if len(calls) == 0 {
		return nil, errors.New("the mutation selects nothing")
	}
	return calls, nil
}

// rootWalk collects the fields of an operation's root, also through fragments.
// Directives are not evaluated: what could be skipped counts as run.
type rootWalk struct {
	fragments map[string]*ast.FragmentDefinition
	seen      map[string]bool
	fields    []*ast.Field
}

func (w *rootWalk) walk(set ast.SelectionSet) error {
	for _, s := range set {
		var err error
		switch s := s.(type) {
		case *ast.Field:
			w.fields = append(w.fields, s)
		case *ast.InlineFragment:
			err = w.walk(s.SelectionSet)
		case *ast.FragmentSpread:
			err = w.spread(s.Name)
		default:
			err = errors.New("it selects something unknown")
		}
		if err == nil && len(w.fields) > maxGraphQLFields {
			err = errors.New("it selects too much")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *rootWalk) spread(name string) error {
	f := w.fragments[name]
	if f == nil {
		return errors.New("a fragment is missing")
	}
	if w.seen[name] {
		return nil
	}
	w.seen[name] = true
	return w.walk(f.SelectionSet)
}
