package keeper

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"ambit/gate/web"
	"ambit/grants"
	"ambit/sandbox"
)

// gitConfigPath is git's configuration of the machine (git-config, "FILES").
const gitConfigPath = "/etc/gitconfig"

// maxGitConfig bounds the machine's own, in bytes.
const maxGitConfig = 64 << 10

// gitConfig is the machine's configuration of git inside: remotes that git would
// reach by SSH are reached by HTTPS, for the hosts at which the file's services serve
// git. Nothing else leads out of the sandbox. What the machine has stays behind it,
// when the file shows that. nil when no service serves git.
func (p *plan) gitConfig() ([]byte, error) {
	var b strings.Builder
	for _, s := range p.g.Services() {
		for _, host := range gitHosts(s) {
			rewrite(&b, s, host)
		}
	}
	at := slices.IndexFunc(p.files, func(f sandbox.File) bool { return f.Path == gitConfigPath && f.At == "" })
	if b.Len() == 0 {
		return nil, nil
	}
	if at < 0 {
		return []byte(b.String()), nil
	}
	f, err := os.Open(gitConfigPath)
	if err != nil {
		return nil, fmt.Errorf("cannot read git's configuration of the machine: %w", err)
	}
	defer f.Close()
	own, err := io.ReadAll(io.LimitReader(f, maxGitConfig+1))
	if err != nil || len(own) > maxGitConfig {
		return nil, fmt.Errorf("cannot use git's configuration of the machine, %s: %w", gitConfigPath, orTooLarge(err))
	}
	p.files = slices.Delete(p.files, at, at+1)
	return append([]byte(b.String()), own...), nil
}

func orTooLarge(err error) error {
	if err == nil {
		return fmt.Errorf("it has more than %d bytes", maxGitConfig)
	}
	return err
}

// gitHosts are the hosts at which a service serves git.
func gitHosts(s grants.Service) (out []string) {
	for _, h := range s.Hosts {
		switch {
		case s.Kind.Value == "github" && (h.Value == "github.com" || !strings.HasSuffix(h.Value, ".github.com") && !strings.HasPrefix(h.Value, "api.") && !strings.HasSuffix(h.Value, ".githubusercontent.com")):
			out = append(out, h.Value)
		case s.Git:
			out = append(out, h.Value)
		}
	}
	return out
}

// rewrite writes the spellings of a host's remotes (git-clone, "GIT URLS"). Its own
// is among them: of two rules of the same length git takes the first, so that a
// person's rule from HTTPS to SSH does not lead into a wall.
func rewrite(b *strings.Builder, s grants.Service, host string) {
	base := scheme(s) + "://" + host
	if s.Port != 0 && !(scheme(s) == web.HTTPS && s.Port == 443) && !(scheme(s) == web.HTTP && s.Port == 80) {
		base += ":" + strconv.Itoa(s.Port)
	}
	fmt.Fprintf(b, "[url %q]\n", base+"/")
	for _, from := range []string{"git@" + host + ":", "ssh://git@" + host + "/", "ssh://git@" + host + ":22/", "ssh://" + host + "/", "git+ssh://git@" + host + "/", "git://" + host + "/", base + "/"} {
		fmt.Fprintf(b, "\tinsteadOf = %s\n", from)
	}
	fmt.Fprintf(b, "\tpushInsteadOf = %s\n", base+"/")
}
