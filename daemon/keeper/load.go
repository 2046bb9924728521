package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"ambit/config"
	"ambit/grants"
)

// Grants is a grants file that was read and compiled for a place.
type Grants struct {
	*grants.Grants
	Path      string // of the file
	Source    []byte
	Workspace string // absolute; where "." is
	Person    string // the person's home, where "~" is
}

// Load reads a grants file for a run. A file that is dangerous is refused: when
// lint finds errors of which nobody says why they stand, the error is a
// [grants.Errors] with all of them.
func Load(path string, getenv func(string) string, now time.Time) (*Grants, error) {
	g, err := Read(path, getenv, now)
	if err != nil {
		return nil, err
	}
	if err := g.safe(path, getenv); err != nil {
		return nil, err
	}
	return g, nil
}

// Read reads a grants file without looking for what is dangerous in it: for
// those who explain, compare or lint it, and run nothing. The workspace is the
// file's own folder, or what its sandbox section says, from there: so that the
// file means the same wherever it is used from.
func Read(path string, getenv func(string) string, now time.Time) (*Grants, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(abs)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot read the grants: %s does not exist; write one with `ambit init`", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the grants: %w", err)
	}
	defer f.Close()
	// One byte more than is allowed, so that Parse can say that it is too large.
	src, err := io.ReadAll(io.LimitReader(f, grants.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the grants: %w", err)
	}
	g := &Grants{Path: abs, Source: src, Workspace: filepath.Dir(abs), Person: getenv("HOME")}
	parsed, broken := grants.Parse(filepath.Base(abs), g.Source)
	if broken == nil && parsed.Sandbox.Workspace.Value != "" {
		g.Workspace = g.absolute(parsed.Sandbox.Workspace.Value)
	}
	if real, err := filepath.EvalSymlinks(g.Workspace); err == nil {
		g.Workspace = real
	}
	if kinds := Kinds(g.Workspace, g.Person); broken == nil {
		g.Grants, err = grants.Compile(parsed, kinds, now)
	} else {
		// Once more, for what is wrong with the parts that can be read.
		g.Grants, err = grants.Load(filepath.Base(abs), g.Source, kinds, now)
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

// Compile is how the daemon reads a task's grants, once more and by itself.
func Compile(name string, source []byte, workspace, home string, now time.Time) (*grants.Grants, error) {
	return grants.Load(name, source, Kinds(workspace, home), now)
}

// absolute makes a path of the file absolute: from the person's home with "~",
// else from the workspace.
func (g *Grants) absolute(p string) string {
	switch {
	case p == "~":
		return g.Person
	case len(p) > 1 && p[:2] == "~/":
		return filepath.Join(g.Person, p[2:])
	case filepath.IsAbs(p):
		return filepath.Clean(p)
	}
	return filepath.Join(g.Workspace, p)
}

// apart refuses a grants file that would put Ambit itself, or a whole home,
// into the agent's hands.
func (g *Grants) apart(h config.Home) error {
	if under(g.Person, g.Workspace) {
		return fmt.Errorf("cannot run in %s: the workspace would be your whole home directory; put the grants file into the folder of the task", g.Workspace)
	}
	check := func(path, by string) error {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		// Whoever can write the keys, the log or the sockets is the person.
		if under(h.Dir, path) || under(path, h.Dir) {
			return fmt.Errorf("cannot run: %s gives %s, and Ambit's state is in %s; set AMBIT_HOME to a folder apart", by, path, h.Dir)
		}
		return nil
	}
	for _, r := range g.Files() {
		if err := check(r.Path, r.By); err != nil {
			return err
		}
	}
	s := g.File().Sandbox
	for _, t := range append(s.Read[:len(s.Read):len(s.Read)], s.Write...) {
		if err := check(g.absolute(t.Value), fmt.Sprintf("%s:%d:%d", g.File().Name, t.Pos.Line, t.Pos.Column)); err != nil {
			return err
		}
	}
	return nil
}
