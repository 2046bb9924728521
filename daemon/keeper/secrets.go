package keeper

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ambit/grants"
)

// secretFiles says which of the files with a secret's name are to be hidden:
// all, but for what the repository tracks, because the agent can read that in
// the repository itself, and for certificates that hold no private key.
func secretFiles(root string, rel []string) ([]string, error) {
	tracked, err := trackedBy(root, rel)
	if err != nil {
		return nil, err
	}
	var hide []string
	for _, r := range rel {
		if tracked[r] {
			continue
		}
		if text := slices.Contains([]string{".pem", ".key"}, strings.ToLower(path.Ext(r))); text {
			private, err := holdsPrivateKey(filepath.Join(root, r))
			if err == nil && !private {
				continue
			}
		}
		hide = append(hide, r)
	}
	return hide, nil
}

// Shown says why the walls would let the agent read a file whose name is that of a
// credential, "" when they hide it or it is no such file.
func (g *Grants) Shown(file string) string {
	tree := ""
	for _, p := range g.trees() {
		if under(file, p) && len(p) > len(tree) {
			tree = p // the innermost is what the agent sees
		}
	}
	st, err := os.Lstat(file)
	if real, rerr := filepath.EvalSymlinks(file); tree == "" || file == tree || err != nil || rerr != nil || real != file || !st.Mode().IsRegular() {
		return ""
	}
	rel := strings.TrimPrefix(file[len(tree):], "/")
	if at := credentialEnd(strings.Split(rel, "/")); at != len(strings.Split(rel, "/")) {
		return "" // none, or in a folder that is hidden as a whole
	}
	hide, err := secretFiles(tree, []string{rel})
	if err != nil || len(hide) > 0 {
		return ""
	}
	if tracked, err := trackedBy(tree, []string{rel}); err == nil && tracked[rel] {
		return "git tracks it, and whoever has the repository has it"
	}
	return "it holds no private key"
}

// trees are the paths that lines of the file give as a whole.
func (g *Grants) trees() (out []string) {
	for _, r := range g.Files() {
		out = append(out, r.Path)
	}
	s := g.File().Sandbox
	for _, t := range append(s.Read[:len(s.Read):len(s.Read)], s.Write...) {
		out = append(out, g.absolute(t.Value))
	}
	return out
}

// credentialEnd is how many segments there are up to the end of the first name of
// a credential, 0 for none.
func credentialEnd(segs []string) int {
	for end := 1; end <= len(segs); end++ {
		for _, n := range grants.Protected() {
			parts := strings.Split(n.Path, "/")
			if !n.Class.Reads() || len(parts) > end {
				continue
			}
			got := strings.ToLower(strings.Join(segs[end-len(parts):end], "/"))
			if ok, err := path.Match(n.Path, got); ok && err == nil {
				return end
			}
		}
	}
	return 0
}

// maxKey is how much of a file is searched for a private key, in bytes.
const maxKey = 1 << 20

func holdsPrivateKey(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if i, err := f.Stat(); err != nil || !i.Mode().IsRegular() || i.Size() > maxKey {
		return true, err // what cannot be looked at is a secret
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKey))
	return bytes.Contains(b, []byte("PRIVATE KEY")) || !bytes.Contains(b, []byte("-----BEGIN ")), err
}

// trackedBy asks git which of the files it tracks. A folder without a
// repository, or a machine without git, tracks none.
func trackedBy(root string, rel []string) (map[string]bool, error) {
	out := map[string]bool{}
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		return out, nil
	}
	git, err := exec.LookPath("git")
	if err != nil {
		return out, nil
	}
	// Nothing of the repository's own settings may run here.
	c := exec.Command(git, append([]string{"-C", root, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "ls-files", "-z", "--"}, literal(rel)...)...)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C"}
	b, err := c.Output()
	if err != nil {
		// A repository of another owner, or a broken one: hide more, not less.
		return out, nil
	}
	for f := range strings.SplitSeq(string(b), "\x00") {
		out[f] = true
	}
	return out, nil
}

// literal keeps git from reading patterns in file names.
func literal(rel []string) []string {
	out := make([]string, len(rel))
	for i, r := range rel {
		out[i] = fmt.Sprintf(":(literal)%s", r)
	}
	return out
}
