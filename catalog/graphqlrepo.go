package catalog

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2/ast"

	"ambit"
)

//go:embed data/github-graphql-types.txt
var githubTypesData string

var githubTypes = sync.OnceValue(func() graphTypes {
	t, err := parseTypes(githubTypesData)
	if err != nil {
		panic(err) // part of the program; a test reads it
	}
	return t
})

// graphTypes are the fields of types that stay inside one repository. A field
// that is a value leads to the empty type.
type graphTypes map[string]map[string]string

const connection = "[]"

func parseTypes(data string) (graphTypes, error) {
	types := make(graphTypes)
	for line := range strings.Lines(data) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		fields := types[f[0]]
		if fields == nil {
			fields = make(map[string]string)
			types[f[0]] = fields
		}
		for _, field := range f[1:] {
			name, to, _ := strings.Cut(field, ":")
			if _, ok := fields[name]; ok {
				return nil, fmt.Errorf("cannot read types: %s.%s is there twice", f[0], name)
			}
			fields[name] = to
		}
	}
	for name, fields := range types {
		for field, to := range fields {
			if to = strings.TrimSuffix(to, connection); to != "" && types[to] == nil {
				return nil, fmt.Errorf("cannot read types: %s.%s leads to %s, which is not there", name, field, to)
			}
		}
	}
	return types, nil
}

// errLeaves is a query that can read beyond one repository.
var errLeaves = errors.New("the query is not one of repositories")

// githubQuery gives one call for each repository that a query names at its
// root, when nothing in it can leave that repository. Any other query is one
// of the whole API, with all that the credential can read.
func (r *Request) githubQuery(doc *ast.QueryDocument, op *ast.OperationDefinition, vars map[string]any) []Call {
	w := repoWalk{types: githubTypes(), doc: doc, op: op, vars: vars}
	if err := w.root(op.SelectionSet, 0); err != nil || len(w.repos) == 0 || w.twice() {
		return []Call{{"github.graphql.query", ambit.Read, r.resource()}}
	}
	calls := make([]Call, len(w.repos))
	for i, res := range w.repos {
		calls[i] = Call{"github.graphql.query", ambit.Read, res}
	}
	return calls
}

// repoWalk follows a query from its root. Directives are not evaluated: what
// could be skipped counts as read.
type repoWalk struct {
	types graphTypes
	doc   *ast.QueryDocument
	op    *ast.OperationDefinition
	vars  map[string]any
	repos []ambit.Resource
	steps int
}

const (
	maxWalkSteps = 5_000
	maxWalkDepth = 64
)

// twice says whether a variable or a fragment is defined twice: one reader takes the
// first, another the last.
func (w *repoWalk) twice() bool {
	seen := make(map[string]bool)
	for _, d := range w.op.VariableDefinitions {
		if seen["$"+d.Variable] {
			return true
		}
		seen["$"+d.Variable] = true
	}
	for _, f := range w.doc.Fragments {
		if seen[f.Name] {
			return true
		}
		seen[f.Name] = true
	}
	return false
}

// each calls visit for the fields of a set, also those of its fragments.
func (w *repoWalk) each(set ast.SelectionSet, depth int, visit func(f *ast.Field, depth int) error) error {
	if depth > maxWalkDepth {
		return errLeaves
	}
	for _, s := range set {
		if w.steps++; w.steps > maxWalkSteps {
			return errLeaves
		}
		var err error
		switch s := s.(type) {
		case *ast.Field:
			if s.Name != "__typename" {
				err = visit(s, depth)
			}
		case *ast.InlineFragment:
			err = w.each(s.SelectionSet, depth+1, visit)
		case *ast.FragmentSpread:
			f := w.doc.Fragments.ForName(s.Name)
			if f == nil {
				return errLeaves
			}
			err = w.each(f.SelectionSet, depth+1, visit)
		default:
			err = errLeaves
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *repoWalk) root(set ast.SelectionSet, depth int) error {
	return w.each(set, depth, func(f *ast.Field, depth int) error {
		if f.Name == "rateLimit" {
			return nil // the caller's own quota, whatever is asked of it
		}
		if f.Name != "repository" {
			return errLeaves
		}
		res, err := w.repository(f)
		if err != nil {
			return err
		}
		w.repos = append(w.repos, res)
		if len(w.repos) > maxGraphQLFields {
			return errLeaves
		}
		return w.inside("Repository", f.SelectionSet, depth+1)
	})
}

// repository is what a root field's arguments name. A renamed or moved
// repository is followed by GitHub; followRenames says otherwise, and is refused
// so that there is one way.
func (w *repoWalk) repository(f *ast.Field) (ambit.Resource, error) {
	var named [2]string
	for _, a := range f.Arguments {
		switch a.Name {
		case "owner":
			named[0] = w.text(a.Value)
		case "name":
			named[1] = w.text(a.Value)
		default:
			return ambit.Resource{}, errLeaves
		}
	}
	if len(f.Arguments) != len(named) {
		return ambit.Resource{}, errLeaves
	}
	return repoResource(named[0], named[1])
}

// text is a string of the document, or of the variables. Anything else is "",
// which no repository is called; so is a block string, whose indentation readers
// take off in different ways.
func (w *repoWalk) text(v *ast.Value) string {
	switch v.Kind {
	case ast.StringValue:
		return v.Raw
	case ast.Variable:
		if given, ok := w.vars[v.Raw]; ok {
			s, _ := given.(string)
			return s
		}
		for _, d := range w.op.VariableDefinitions {
			if d.Variable == v.Raw && d.DefaultValue != nil && d.DefaultValue.Kind == ast.StringValue {
				return d.DefaultValue.Raw
			}
		}
	}
	return ""
}

// inside follows the fields of a type.
func (w *repoWalk) inside(typ string, set ast.SelectionSet, depth int) error {
	if of, ok := strings.CutSuffix(typ, connection); ok {
		return w.connection(of, set, depth)
	}
	fields := w.types[typ]
	return w.each(set, depth, func(f *ast.Field, depth int) error {
		to, ok := fields[f.Name]
		switch {
		case !ok, to == "" && len(f.SelectionSet) > 0:
			return errLeaves
		case to == "":
			return nil
		}
		return w.inside(to, f.SelectionSet, depth+1)
	})
}

func (w *repoWalk) connection(of string, set ast.SelectionSet, depth int) error {
	return w.each(set, depth, func(f *ast.Field, depth int) error {
		switch f.Name {
		case "totalCount", "pageInfo", "totalSize", "cursor":
			return nil
		case "nodes", "node":
			return w.inside(of, f.SelectionSet, depth+1)
		case "edges":
			return w.connection(of, f.SelectionSet, depth+1)
		}
		return errLeaves
	})
}
