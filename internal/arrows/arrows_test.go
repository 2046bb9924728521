// Package arrows keeps the house's import rules, each with its reason.
package arrows

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is one file of the module, read in process: a test that asks the go
// command is cached and sees nothing of what has changed.
type source struct {
	path, pkg string // pkg is the folder below the module's root, "." for the root
	test      bool
	file      *ast.File
	fset      *token.FileSet
}

func (s source) imports() (in []string) {
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		in = append(in, p)
	}
	return in
}

func sources(t *testing.T) (all []source) {
	t.Helper()
	root := "../.."
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		all = append(all, source{
			path: filepath.ToSlash(rel), pkg: filepath.ToSlash(filepath.Dir(rel)),
			test: strings.HasSuffix(p, "_test.go"), file: f, fset: fset,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d sources found: the test looks in the wrong place", len(all))
	}
	return all
}

func under(pkg string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return pkg == d || strings.HasPrefix(pkg, d+"/") })
}

func module(imp string) (pkg string, ok bool) {
	if imp == "ambit" {
		return ".", true
	}
	return strings.CutPrefix(imp, "ambit/")
}

// pure packages import of Ambit only the vocabulary (and themselves).
var pure = []string{"pipeline", "grants", "label", "audit", "sandbox", "store", "catalog", "identity", "approval", "broker"}

// forbidden says what a folder must never import of Ambit, and why.
var forbidden = []struct {
	from, to []string
	why      string
}{
	{[]string{"gate"}, []string{"grants", "approval", "broker", "audit", "store", "console", "daemon", "identity", "sandbox", "config"},
		"a gate translates and carries: it never decides, asks, records, or learns where a secret is kept"},
	{[]string{"console"}, []string{"broker", "pipeline", "gate", "grants", "audit", "store", "sandbox"},
		"the person's desk must not be a second way to an effect or a secret"},
	{[]string{"config", "console"}, []string{"daemon"}, "wiring is above what it wires"},
}

// libraries says which folders alone may import a library, and why.
var libraries = []struct {
	imp   string
	where []string
	why   string
}{
	{"unsafe", []string{"sandbox", "catalog/sql/grammar"}, "memory tricks stay behind the walls' door; the grammar only names the code that another module carries (go:linkname)"},
	{"syscall", []string{"sandbox", "audit", "daemon", "config", "broker", "cmd", "internal"}, "raw system calls stay in the sandbox; the others lock, sync, ask who owns, name signals and end process groups"},
	{"golang.org/x/sys", []string{"sandbox", "audit", "daemon", "identity", "broker"}, "raw system calls stay in the sandbox; the others lock and sync"},
	{"github.com/ncruces/go-sqlite3", []string{"store"}, "a database driver outside the store would be a second truth"},
	{"github.com/jackc/pgx/v5/pgconn", nil, "a client for everything would give the administrator's password to an impostor in the clear; it is the agent's in tests"},
	{"github.com/jackc/pgx/v5/pgtype", nil, "with encoding/xml and Unicode's tables, which it links, every start would cost two milliseconds more"},
	{"github.com/jackc/pgx/v5", []string{"pgwire", "gate/sql"}, "messages of PostgreSQL are read and written in two places"},
	{"ambit/pgwire", []string{"broker/postgres", "gate/sql"}, "who speaks to a database is a short list: as its administrator whoever makes and ends the roles of tasks, and with a lease the gate"},
	{"database/sql", []string{"store"}, "a database driver outside the store would be a second truth"},
	{"os/exec", []string{"sandbox", "broker", "daemon", "cmd", "internal", "gate/web"}, "who starts programs is a short list"},
}

func TestArrows(t *testing.T) {
	for _, s := range sources(t) {
		for _, imp := range s.imports() {
			checkLibrary(t, s, imp)
			to, ok := module(imp)
			if !ok || s.test {
				continue
			}
			checkArrow(t, s, to)
		}
	}
}

func checkArrow(t *testing.T, s source, to string) {
	t.Helper()
	if s.pkg == "." {
		t.Errorf("%s imports %s: the vocabulary imports nothing of Ambit", s.path, to)
	}
	top, _, _ := strings.Cut(s.pkg, "/")
	// The rows of the store are plain records, shared like the vocabulary; pgwire is
	// a wire, and a library.
	if slices.Contains(pure, top) && to != "." && to != "store/row" && to != "pgwire" && !under(to, top) {
		t.Errorf("%s imports %s: %s knows only the vocabulary", s.path, to, top)
	}
	for _, f := range forbidden {
		if under(s.pkg, f.from...) && under(to, f.to...) {
			t.Errorf("%s imports %s: %s", s.path, to, f.why)
		}
	}
	if s.pkg == "pgwire" {
		t.Errorf("%s imports %s: pgwire is a wire that knows nothing of Ambit", s.path, to)
	}
	// One gate that leans on another would carry its bytes twice.
	if g, o := gateOf(s.pkg), gateOf(to); g != "" && o != "" && g != o && o != "gatetest" {
		t.Errorf("%s imports %s: a gate never imports another gate", s.path, to)
	}
}

func gateOf(pkg string) string {
	rest, ok := strings.CutPrefix(pkg, "gate/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

func checkLibrary(t *testing.T, s source, imp string) {
	t.Helper()
	for _, l := range libraries {
		if (imp == l.imp || strings.HasPrefix(imp, l.imp+"/")) && !s.test && !under(s.pkg, l.where...) {
			t.Errorf("%s imports %s: %s", s.path, imp, l.why)
		}
	}
	if s.test {
		return
	}
	if imp == "C" {
		t.Errorf("%s imports C: Ambit is one static binary", s.path)
	}
	if under(s.pkg, "grants") && (imp == "os" || imp == "net" || strings.HasPrefix(imp, "net/http") || strings.HasPrefix(imp, "os/")) {
		t.Errorf("%s imports %s: grants are a pure function of their file", s.path, imp)
	}
	if under(s.pkg, "util", "common", "manager", "helper") {
		t.Errorf("%s: a package is named for what it is", s.path)
	}
}

// TestGrantsHaveNoClock keeps decisions a function of their input.
func TestGrantsHaveNoClock(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || !under(s.pkg, "grants") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if ok && x.Name == "time" && (sel.Sel.Name == "Now" || sel.Sel.Name == "Since" || sel.Sel.Name == "Until") {
				t.Errorf("%s reads the clock", s.fset.Position(n.Pos()))
			}
			return true
		})
	}
}

// TestNoInit keeps start-up free of hidden work. The sandbox's stage is the
// one exception: it must take over before any other package is initialised.
func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || under(s.pkg, "sandbox/stage") {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init: no init registries", s.fset.Position(f.Pos()))
			}
		}
	}
}

// TestPermitsAreMadeInOnePlace keeps pipeline.Do the only way: the field that
// makes a permit live cannot be set outside the pipeline, and inside it in one
// function.
func TestPermitsAreMadeInOnePlace(t *testing.T) {
	made := 0
	for _, s := range sources(t) {
		if s.test || s.pkg != "pipeline" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if c, ok := n.(*ast.CompositeLit); ok {
				if id, ok := c.Type.(*ast.Ident); ok && id.Name == "Permit" && len(c.Elts) > 0 {
					made++
				}
			}
			return true
		})
	}
	if made != 1 {
		t.Errorf("permits are made in %d places, want 1", made)
	}
}

// TestTheProjectSpeaksOfItselfAlone keeps machine paths out of what is shipped.
func TestTheProjectSpeaksOfItselfAlone(t *testing.T) {
	for _, s := range sources(t) {
		b, err := os.ReadFile(filepath.Join("../..", s.path))
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"/work" + "/main", "/work" + "/shared", "/tmp" + "/w/"} {
			if strings.Contains(string(b), bad) {
				t.Errorf("%s names the machine path %s", s.path, bad)
			}
		}
	}
}
