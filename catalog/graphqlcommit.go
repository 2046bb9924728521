package catalog

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"ambit"
)

// commitOnBranch is the one mutation that names its repository and branch by their
// names (GitHub's GraphQL reference, "CommittableBranch"): it is what committing files
// to that branch is by REST. ok is false for one that names them by a number, and for
// whatever could be understood differently; it is then one of the whole API.
func (w *repoWalk) commitOnBranch(f *ast.Field) (calls []Call, ok bool) {
	if f.Name != "createCommitOnBranch" || len(f.Arguments) != 1 || f.Arguments[0].Name != "input" || w.twice() {
		return nil, false
	}
	input, _ := w.value(f.Arguments[0].Value, 0).(map[string]any)
	branch, _ := input["branch"].(map[string]any)
	whole, _ := branch["repositoryNameWithOwner"].(string)
	name, _ := branch["branchName"].(string)
	owner, repo, _ := strings.Cut(whole, "/")
	res, err := repoResource(owner, repo)
	// The beginning of the whole name is optional here, unlike in REST.
	ref, known := canonicalRef("refs/heads/", strings.TrimPrefix(name, "refs/heads/"))
	if err != nil || !known || len(branch) != 2 {
		return nil, false
	}
	// What it gives back could lead to whatever the credential can read.
	if w.inside("CreateCommitOnBranchPayload", f.SelectionSet, 0) != nil {
		return nil, false
	}
	res.Segments = append(res.Segments, strings.Split(ref, "/")...)
	if res.Check() != nil {
		return nil, false
	}
	calls = []Call{{"github.contents.put", ambit.Write, res}}
	switch changes := input["fileChanges"].(type) {
	case nil:
	case map[string]any:
		if list, isList := changes["deletions"].([]any); changes["deletions"] != nil && (!isList || len(list) > 0) {
			calls = append(calls, Call{"github.contents.delete", ambit.Irreversible, res})
		}
	default:
		return nil, false
	}
	return calls, true
}

// oddValue is a value that readers take in different ways, or that is no text, list or
// object. It is nothing that anybody looks for.
type oddValue struct{}

// value is a value of the document with its variables, as JSON has it.
func (w *repoWalk) value(v *ast.Value, depth int) any {
	if w.steps++; depth > maxWalkDepth || w.steps > maxWalkSteps {
		return oddValue{}
	}
	switch v.Kind {
	case ast.StringValue:
		return v.Raw
	case ast.NullValue:
		return nil
	case ast.Variable:
		return w.variable(v.Raw, depth)
	case ast.ListValue:
		list := make([]any, 0, len(v.Children))
		for _, c := range v.Children {
			list = append(list, w.value(c.Value, depth+1))
		}
		return list
	case ast.ObjectValue:
		object := make(map[string]any, len(v.Children))
		for _, c := range v.Children {
			if _, twice := object[c.Name]; twice {
				return oddValue{}
			}
			object[c.Name] = w.value(c.Value, depth+1)
		}
		return object
	}
	return oddValue{}
}

// variable is what was sent for a variable that the operation defines, or its default.
func (w *repoWalk) variable(name string, depth int) any {
	for _, d := range w.op.VariableDefinitions {
		if d.Variable != name {
			continue
		}
		if given, ok := w.vars[name]; ok {
			return given
		}
		if d.DefaultValue != nil {
			return w.value(d.DefaultValue, depth+1)
		}
		return nil
	}
	return oddValue{}
}
