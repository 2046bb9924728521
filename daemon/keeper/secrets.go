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
