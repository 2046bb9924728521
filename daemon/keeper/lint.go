package keeper

import (
	"fmt"
	"path/filepath"

	"ambit/config"
	"ambit/grants"
)

// safe refuses what lint finds and nobody accepted. Limits that this machine
// cannot enforce are not asked for here: the walls refuse them when they are
// built, and to find out beforehand would take longer than the start itself.
func (g *Grants) safe(path string, getenv func(string) string) error {
	var out grants.Errors
	for _, f := range grants.LintErrors(g.Grants, g.Machine(getenv)) {
		if len(out) < grants.MaxErrors {
			out = append(out, grants.Error{
				File: g.File().Name, Line: f.Line, Column: f.Column, Msg: fmt.Sprintf("%s %s %s", f.Severity, f.Rule, f.Msg), Fix: f.Remedy,
			})
		}
	}
	if len(out) == 0 {
		return nil
	}
	return fmt.Errorf("%w of lint that nobody accepted; `ambit lint %s` shows the warnings too", out, path)
}

// Machine is what lint must know of this machine, but for what the walls can
// enforce.
func (g *Grants) Machine(getenv func(string) string) grants.Machine {
	m := grants.Machine{File: g.Path}
	if real, err := filepath.EvalSymlinks(g.Path); err == nil {
		m.File = real
	}
	if g.shielded(m.File) {
		m.File = ""
	}
	if h, err := config.Locate(getenv); err == nil {
		m.State = h.Dir
	}
	for _, dir := range filepath.SplitList(getenv("PATH")) {
		if filepath.IsAbs(dir) {
			m.Path = append(m.Path, filepath.Clean(dir))
		}
	}
	return m
}

// shielded says whether the walls keep the grants file from the agent whatever
// its name is: they do so below the workspace (see protect), and not when a
// line opens a path of its own to it.
func (g *Grants) shielded(file string) bool {
	rel, err := filepath.Rel(g.Workspace, g.Path)
	if err != nil || !filepath.IsLocal(rel) || filepath.Join(g.Workspace, rel) != file {
		return false
	}
	for _, r := range g.Files() {
		if r.Write && r.Path != g.Workspace && under(file, r.Path) {
			return false
		}
	}
	for _, t := range g.File().Sandbox.Write {
		if p := g.absolute(t.Value); p != g.Workspace && under(file, p) {
			return false
		}
	}
	return true
}
