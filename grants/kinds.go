package grants

import (
	"slices"
	"strings"

	"ambit"
)

// Kinds is what is known of the kinds of service, given in by the caller so
// that this package knows no service by itself. The zero value knows none.
type Kinds struct {
	List []Kind
	// Classify says what a request would do. It is used for the actions that
	// people write (expectations, explain) and must be the same that the web
	// gate uses. nil classifies by the method alone.
	Classify func(Request) ([]Call, error)
	// Bodies lists what a request could be by its body, when the body decides;
	// nil when it does not. nil knows of none.
	Bodies func(Request) []BodyCase
	// Statements says what the statements of a text of SQL would do on a database:
	// at least one call for each. nil reads no SQL.
	Statements func(database, sql string) ([]TableCall, error)
	// Group lists the operations that a name stands for beside the kinds' own and
	// wildcards: "git.push" for creating and updating. nil knows of none.
	Group func(name string) []string
	// Refs says what an operation does with branches and tags. nil knows of none.
	Refs func(op string) RefUse
	// CheckPath says what is wrong with a path of `reads` or `graphql` that
	// whoever classifies could not compare a request with. nil accepts all.
	CheckPath func(path string) error
	// Workspace and Home are where file patterns start: absolute paths. Empty
	// means /workspace and /home/agent.
	Workspace, Home string
}

// Kind is one kind of service.
type Kind struct {
	Name       string
	Hosts      []string // when the file names none; the first is the one of path patterns
	Port       int      // when the file names none; 0 means the scheme's
	Operations []Operation
	// Load gives the operations when Operations is nil. Compile calls it once,
	// and only for kinds that the file uses.
	Load func() []Operation
	// Resource is the kind of resource that a plain pattern names, such as
	// "repo". A pattern that starts with "/" always names a path of the first
	// host, unless Resource is "tcp" or "table".
	Resource string
	// Segments is how many segments such a resource has; 0 for any number.
	Segments int
	// Example is a plain pattern, for messages.
	Example string
	// FoldCase says that the service takes capital letters of a plain resource
	// for small ones. Patterns are then lowered, and an action with a capital
	// letter there is refused: whoever classifies must lower it.
	FoldCase bool
	// Prefix is what the operations' names begin with, when not with the kind's own
	// name and a dot.
	Prefix string
	// Inject is how the credential is injected when the file does not say.
	Inject Inject
	// Permissions lists what a token of an App needs for an operation, each as
	// "contents:read". A kind that has it takes Apps. nil takes none.
	Permissions func(operation string) []string
}

// RefUse says what an operation does with the branches and tags of a repository. The
// zero value is an operation that changes none.
type RefUse struct {
	Touches bool // it creates, moves, deletes, protects or runs one
	// Under is what the names begin with that stand in its resource, behind the
	// repository: "refs/heads/". An action without such a name touches one that is
	// not known. "" is for operations that never say which.
	Under string
}

// Operation is one known operation of a kind.
type Operation struct {
	Name    string // "github.pulls.create"
	Effect  ambit.Effect
	Summary string // "Open a pull request"; may be empty
}

// Request is one HTTP request, decoded, for Kinds.Classify.
type Request struct {
	Service       *Service // nil for plain web hosts and hosts that nobody named
	Kind          string   // the service's, or "web"
	Method        string   // upper case
	Scheme, Host  string
	Port          int // never 0
	Segments      []string
	TrailingSlash bool
	Query         string
}

// Call is one operation that a request would perform.
type Call struct {
	Operation string
	Effect    ambit.Effect
	Resource  ambit.Resource
}

// TableCall is one operation on a table, or on the database itself.
type TableCall struct {
	Call
	Columns string // as [ArgColumns] holds them; of a table only
}

// BodyCase is one sort of body that a request may have, and what it then does.
type BodyCase struct {
	Body  string // "a push that deletes no branch or tag"
	Calls []Call
}

// DefaultKinds knows what needs no catalog: http, web, tcp, files and postgres.
func DefaultKinds() Kinds {
	bearer := Inject{Header: "Authorization", Format: "Bearer {}"}
	return Kinds{List: []Kind{
		{Name: "http", Resource: "http", Example: "/v1/**", Operations: httpOperations(), Inject: bearer},
		webKind(), filesKind(), tcpKind(), databaseKind(),
	}}
}

func webKind() Kind {
	return Kind{Name: "web", Resource: "http", Example: "docs.python.org", Operations: httpOperations()}
}

func filesKind() Kind {
	return Kind{Name: "files", Resource: "file", Example: "src", Operations: []Operation{
		{"files.read", ambit.Read, "Read files and list folders"},
		{"files.write", ambit.Write, "Create, change and delete files"},
	}}
}

// tcpKind has one operation. What flows over a connection is not seen, so that
// it counts as a write, which says why, and never as a read.
func tcpKind() Kind {
	return Kind{Name: "tcp", Resource: "tcp", Segments: 1, Example: "*", Operations: []Operation{
		{"tcp.connect", ambit.Write, "Open a connection, over which anything can be sent"},
	}}
}

// httpOperations are the methods (RFC 9110 section 9.2, RFC 5789).
func httpOperations() []Operation {
	return []Operation{
		{"http.get", ambit.Read, "Read what a URL names"},
		{"http.head", ambit.Read, "Read only the header of what a URL names"},
		{"http.options", ambit.Read, "Ask what a URL can do"},
		{"http.post", ambit.Write, "Send data to a URL"},
		{"http.put", ambit.Write, "Replace what a URL names"},
		{"http.patch", ambit.Write, "Change what a URL names"},
		{"http.delete", ambit.Irreversible, "Delete what a URL names"},
	}
}

// find returns a kind. What every build has is there even when the caller gave
// none of it.
func (k Kinds) find(name string) (Kind, bool) {
	for _, kind := range k.List {
		if kind.Name == name {
			return kind, true
		}
	}
	switch name {
	case "web":
		return webKind(), true
	case "files":
		return filesKind(), true
	case "tcp":
		return tcpKind(), true
	}
	return Kind{}, false
}

// names lists the kinds that a service can be of.
func (k Kinds) names() []string {
	out := []string{"tcp"}
	for _, kind := range k.List {
		if kind.Name != "files" && kind.Name != "web" && kind.Name != "tcp" {
			out = append(out, kind.Name)
		}
	}
	return out
}

// loaded returns k with the operations of the kinds that are used.
func (k Kinds) loaded(services []*Service) Kinds {
	used := map[string]bool{"web": true, "files": true, "tcp": true}
	for _, s := range services {
		used[s.Kind.Value] = true
	}
	k.List = slices.Clone(k.List)
	for i := range k.List {
		if kind := &k.List[i]; kind.Operations == nil && kind.Load != nil && used[kind.Name] {
			kind.Operations = kind.Load()
		}
	}
	return k
}

// hosts returns a service's hosts, or those of its kind.
func (k Kinds) hosts(s *Service) []string {
	if len(s.Hosts) == 0 {
		kind, _ := k.find(s.Kind.Value)
		return kind.Hosts
	}
	var out []string
	for _, h := range s.Hosts {
		out = append(out, h.Value)
	}
	return out
}

func (k Kinds) place() place {
	p := place{k.Workspace, k.Home}
	if p.workspace == "" {
		p.workspace = "/workspace"
	}
	if p.home == "" {
		p.home = "/home/agent"
	}
	return p
}

// classify says what a request would do, by the caller's function or by the
// method alone.
func (k Kinds) classify(r Request) ([]Call, error) {
	if k.Classify != nil {
		return k.Classify(r)
	}
	c := Call{Operation: "http.other", Resource: r.resource()}
	for _, o := range httpOperations() {
		if o.Name == "http."+lower(r.Method) {
			c.Operation, c.Effect = o.Name, o.Effect
		}
	}
	return []Call{c}, nil
}

// operation finds the operation that a line means: its whole name, its name
// within the kind, or a method of http. A wildcard stands at the end, after a
// dot, or alone.
func (k Kind) operation(s string) (full string, ok bool) {
	if s == "*" {
		return s, true
	}
	// The kind's own goes first: "graphql.query" is GitHub's there. A wildcard means
	// what it says: "git.*" is git itself.
	names := []string{k.prefix() + s, s, "http." + s}
	if strings.HasSuffix(s, "*") {
		names[0], names[1] = s, names[0]
	}
	for _, name := range names {
		for _, o := range k.Operations {
			if o.Name == name || covers(name, o.Name) {
				return name, true
			}
		}
	}
	return "", false
}

// prefix is what the short names of the kind's operations leave out.
func (k Kind) prefix() string { return orElse(k.Prefix, k.Name+".") }

// operations finds what a line means by a word: one operation, a wildcard, or those
// of a group that the kind has.
func (k Kinds) operations(kind Kind, s string) (ops []string) {
	if op, ok := kind.operation(s); ok {
		return []string{op}
	}
	if k.Group == nil {
		return nil
	}
	for _, name := range k.Group(s) {
		if op, ok := kind.operation(name); ok {
			ops = append(ops, op)
		}
	}
	return ops
}

// covers says whether an operation, or a wildcard for some, stands for name.
func covers(op, name string) bool {
	if n := len(op); n > 1 && op[n-2:] == ".*" {
		return len(name) >= n && name[:n-1] == op[:n-1]
	}
	return op == name || op == "*"
}

// refs says what an operation does with branches and tags.
func (k Kinds) refs(op string) RefUse {
	if k.Refs == nil {
		return RefUse{}
	}
	return k.Refs(op)
}

// effects returns the known operations that op stands for, and the set of their
// effects.
func (k Kind) effects(op string) (ops []Operation) {
	for _, o := range k.Operations {
		if covers(op, o.Name) {
			ops = append(ops, o)
		}
	}
	return ops
}
