package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ambit/grants"
)

func initCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "init [FOLDER]", Short: "Write a starting grants file for a repository", Args: cobra.MaximumNArgs(1),
		Long: "Look at the repository (its remote, its languages, the agents that are installed) and write ambit.yaml: what an\nagent needs to work on it and no more. An existing file is not touched.",
	}
	agent := c.Flags().String("agent", "", "the command that will be run: claude, codex or another (default: what is installed)")
	stdout := c.Flags().Bool("print", false, "print the file instead of writing it")
	c.RunE = func(c *cobra.Command, args []string) error {
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		src, err := starter(dir, *agent)
		if err != nil {
			return err
		}
		if *stdout {
			_, err := os.Stdout.Write(src)
			return err
		}
		return writeNew(filepath.Join(dir, defaultGrants), src)
	}
	return c
}

func writeNew(name string, src []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot write %s: it exists; look at it with `ambit explain %s`, or print a new one with --print", name, name)
	}
	if err != nil {
		return fmt.Errorf("cannot write the grants: %w", err)
	}
	if _, err := f.Write(src); err != nil {
		f.Close()
		os.Remove(name)
		return fmt.Errorf("cannot write the grants: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("cannot write the grants: %w", err)
	}
	fmt.Printf("wrote %s\nread it with `ambit explain %s`, then run an agent with `ambit run -- COMMAND`\n", name, name)
	return nil
}

// starter looks at the repository and makes the file, which is checked before
// anybody gets it.
func starter(dir, agent string) ([]byte, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if i, err := os.Stat(abs); err != nil || !i.IsDir() {
		return nil, fmt.Errorf("cannot look at %s: it is not a folder", dir)
	}
	r := grants.Repository{
		Name: filepath.Base(abs), Owner: git(abs, "config", "user.email"), Branch: git(abs, "symbolic-ref", "--short", "HEAD"),
		Languages: languages(abs), Agent: agent,
	}
	remote := git(abs, "config", "--get", "remote.origin.url")
	r.Token = os.Getenv("GITHUB_TOKEN") != ""
	if r.GitHub = grants.GitHubRepository(remote); r.GitHub == "" {
		r.Remote = hostOf(remote)
	}
	if r.Agent == "" {
		r.Agent = installed("claude", "codex")
	}
	src := grants.Starter(r)
	if _, err := grants.Parse(defaultGrants, src); err != nil {
		return nil, fmt.Errorf("cannot write a starting file for this folder: %w", err)
	}
	return src, nil
}

// git asks git about the folder; what git does not know is "".
func git(dir string, args ...string) string {
	c := exec.Command("git", append([]string{"-C", dir}, args...)...)
	out, err := c.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// hostOf returns the host of a remote's URL; "" for a path.
func hostOf(remote string) string {
	if _, rest, ok := strings.Cut(remote, "://"); ok {
		remote = rest
	} else if !strings.Contains(remote, ":") {
		return ""
	}
	if _, rest, ok := strings.Cut(remote, "@"); ok {
		remote = rest
	}
	return strings.ToLower(remote[:strings.IndexAny(remote+"/", ":/")])
}

func installed(names ...string) string {
	for _, n := range names {
		if _, err := exec.LookPath(n); err == nil {
			return n
		}
	}
	return ""
}

// languages says which toolchains a folder asks for, by the files that each
// one begins with.
func languages(dir string) (out []string) {
	for _, l := range []struct {
		name  string
		files []string
	}{
		{"go", []string{"go.mod", "go.work"}},
		{"node", []string{"package.json"}},
		{"python", []string{"pyproject.toml", "requirements.txt", "setup.py", "Pipfile"}},
	} {
		for _, f := range l.files {
			if _, err := os.Stat(filepath.Join(dir, f)); err == nil {
				out = append(out, l.name)
				break
			}
		}
	}
	return out
}
