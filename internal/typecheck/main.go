// Command typecheck checks the types of packages, and of all that they import, for
// the machine that GOOS and GOARCH name, from the sources alone: a machine of another
// kind of processor is checked in seconds, where a build for it compiles the standard
// library anew. Bodies of functions are checked in this module only.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// listed is what is read of a package of `go list -json` (go help list).
type listed struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string // as written → the package
	Module          *struct{ Main bool }
	Error           *struct{ Err string }
}

func (p *listed) own() bool { return p.Module != nil && p.Module.Main }

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cannot check types:", err)
		os.Exit(1)
	}
}

func run(patterns []string) error {
	c := exec.Command("go", append([]string{"list", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap,Module,Error"}, patterns...)...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	n, err := check(&out, types.SizesFor("gc", cmp.Or(os.Getenv("GOARCH"), runtime.GOARCH)))
	if err == nil && n == 0 {
		err = errors.New("no package of this module is named")
	}
	return err
}

// check takes packages in the order of `go list -deps`, where each comes after all
// that it imports, and says how many are the module's own.
func check(list io.Reader, sizes types.Sizes) (own int, err error) {
	if sizes == nil {
		return 0, errors.New("nothing is known of this GOARCH")
	}
	fset, done := token.NewFileSet(), map[string]*types.Package{"unsafe": types.Unsafe}
	for d := json.NewDecoder(list); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return own, nil
		} else if err != nil {
			return own, fmt.Errorf("go list: %w", err)
		}
		if p.Error != nil {
			return own, fmt.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		if p.ImportPath == "unsafe" {
			continue
		}
		if done[p.ImportPath], err = checkOne(fset, &p, done, sizes); err != nil {
			return own, fmt.Errorf("%s: %w", p.ImportPath, err)
		}
		if p.own() {
			own++
		}
	}
}

// imports finds what was checked already.
type imports struct {
	p    *listed
	done map[string]*types.Package
}

func (i imports) Import(path string) (*types.Package, error) {
	if to, ok := i.p.ImportMap[path]; ok {
		path = to
	}
	if found := i.done[path]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("%s was not listed before what imports it", path)
}

func checkOne(fset *token.FileSet, p *listed, done map[string]*types.Package, sizes types.Sizes) (*types.Package, error) {
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	var all []error
	conf := types.Config{
		Importer: imports{p, done}, Sizes: sizes, IgnoreFuncBodies: !p.own(), DisableUnusedImportCheck: !p.own(),
		Error: func(err error) { all = append(all, err) },
	}
	pkg, _ := conf.Check(p.ImportPath, fset, files, nil) // all has its error
	return pkg, errors.Join(all...)
}
