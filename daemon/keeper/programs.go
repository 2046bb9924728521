package keeper

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// system is what the walls show of every machine; programs below need nothing.
var system = [...]string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt"}

func under(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

func onSystem(path string) bool {
	return slices.ContainsFunc(system[:], func(d string) bool { return under(path, d) })
}

// look finds a program the way a shell does: a name through PATH, a path as it
// is. It returns "" when there is none.
func look(name, pathVar, dir string) string {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if executable(name) {
			return filepath.Clean(name)
		}
		return ""
	}
	for _, d := range filepath.SplitList(pathVar) {
		if !filepath.IsAbs(d) {
			continue // "." in PATH would run what the agent wrote
		}
		if p := filepath.Join(d, name); executable(p) {
			return p
		}
	}
	return ""
}

func executable(path string) bool {
	i, err := os.Stat(path)
	return err == nil && i.Mode().IsRegular() && i.Mode().Perm()&0o111 != 0
}

// footprint says which paths must be visible so that a program outside the
// system's folders works: the folder of its name, and what its file belongs
// to. It never returns the person's home or a folder above it.
func footprint(program, home string) []string {
	if onSystem(program) {
		if t, err := filepath.EvalSymlinks(program); err != nil || onSystem(t) {
			return nil
		}
	}
	var out []string
	add := func(p string) {
		// The whole home, or a folder that holds it, would show every secret.
		if p == "" || p == "/" || onSystem(p) || under(home, p) || slices.Contains(out, p) {
			return
		}
		out = append(out, p)
	}
	dir := filepath.Dir(program)
	if under(home, dir) {
		add(program)
	}
	add(dir)
	target, err := filepath.EvalSymlinks(program)
	if err != nil {
		return out
	}
	add(installation(target, home))
	return out
}

// installation returns the folder that a program's file belongs to: the
// outermost node_modules, the prefix above bin, or else the file alone.
func installation(target, home string) string {
	if i := strings.Index(target, "/node_modules/"); i > 0 {
		return target[:i+len("/node_modules")]
	}
	bin := filepath.Dir(target)
	prefix := filepath.Dir(bin)
	private := prefix == home || prefix == filepath.Join(home, ".local") || under(home, prefix)
	if filepath.Base(bin) == "bin" && !private {
		return prefix
	}
	return target
}

// visiblePath keeps of a PATH what the walls show.
func visiblePath(pathVar string, visible []string) string {
	var keep []string
	for _, d := range filepath.SplitList(pathVar) {
		shown := onSystem(d) || slices.ContainsFunc(visible, func(v string) bool { return under(d, v) })
		if filepath.IsAbs(d) && shown && !slices.Contains(keep, d) {
			keep = append(keep, d)
		}
	}
	for _, d := range []string{"/usr/local/bin", "/usr/bin", "/bin", filepath.Dir(insideSelf)} {
		if !slices.Contains(keep, d) {
			keep = append(keep, d)
		}
	}
	return strings.Join(keep, string(filepath.ListSeparator))
}
