package grants

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Repository is what a starting file is made from. Every field may be empty.
type Repository struct {
	Name      string   // of the folder
	Owner     string   // who answers for the agent, such as an e-mail address
	GitHub    string   // "owner/name", when the remote is on github.com
	Token     bool     // GITHUB_TOKEN is set where the file is written
	Remote    string   // the remote's host, when it is elsewhere
	Branch    string   // the default branch
	Languages []string // names of profiles: "go", "node", "python"
	Agent     string   // the command that will be run: "claude", "codex" or another
}

// GitHubRepository reads "owner/name" from the URL of a git remote; "" when it
// is not on github.com.
func GitHubRepository(remote string) string {
	m := regexp.MustCompile(`^(?:https://(?:[^/@]+@)?github\.com/|git@github\.com:|ssh://git@github\.com/)([A-Za-z0-9-]{1,39})/([A-Za-z0-9._-]{1,100}?)(?:\.git)?/?$`).FindStringSubmatch(remote)
	if m == nil || m[2] == "." || m[2] == ".." || looksSecret(m[2]) {
		return ""
	}
	return strings.ToLower(m[1] + "/" + m[2])
}

// Starter writes a commented grants file for a repository: what an agent needs
// to work on it, and the first doors to think about, closed.
func Starter(r Repository) []byte {
	if r.GitHub != "" {
		r.GitHub = GitHubRepository("https://github.com/" + r.GitHub)
	}
	s := &starter{r: r}
	s.head()
	s.services()
	s.reads()
	s.writes()
	s.asks()
	s.expect()
	return []byte(s.b.String())
}

type starter struct {
	b strings.Builder
	r Repository
}

func (s *starter) line(format string, args ...any) { fmt.Fprintf(&s.b, format+"\n", args...) }

func (s *starter) head() {
	name := agentNameOf(s.r.Name)
	s.line("# What the agent may do. Everything else is refused.")
	s.line("#   ambit explain ambit.yaml    says it in plain English")
	s.line("#   ambit lint ambit.yaml       says what is dangerous")
	s.line("agent: %s", name)
	s.line("owner: %s", quote(clean(s.r.Owner, "you@example.com")))
	s.line("purpose: %s", quote("Work on "+clean(s.r.Name, "this repository")))
	s.line("expires: 1h                 # the task, its identity and every credential end here")
	if uses := s.uses(); len(uses) > 0 {
		s.line("")
		s.line("# What these bring is shown by `ambit explain ambit.yaml`.")
		s.line("uses: [%s]", strings.Join(uses, ", "))
	}
}

// agentNameOf makes an agent's name of a folder's.
func agentNameOf(folder string) string {
	name := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(folder), "-"), "-")
	name = strings.Trim(name[:min(len(name), 50)], "-")
	if name == "" {
		return "agent"
	}
	return name + "-agent"
}

// clean makes a text from outside fit for one line of the file.
func clean(text, otherwise string) string {
	w := &walker{}
	t := strings.Join(strings.Fields(text), " ")
	if len(t) > 200 || looksSecret(t) || !w.visible(Text{Value: t}, "", isGraphic) {
		return otherwise
	}
	return t
}

// uses lists the profiles: the languages found, git, and the runner.
func (s *starter) uses() (out []string) {
	for _, name := range append(slices.Clone(s.r.Languages), "git", s.r.Agent) {
		if slices.Contains(ProfileNames(), name) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func (s *starter) services() {
	if s.r.GitHub == "" {
		s.otherRemote()
		return
	}
	s.line("")
	s.line("services:")
	if !s.r.Token {
		s.line("  # To push, and for private repositories, set GITHUB_TOKEN and add: credential: {env: GITHUB_TOKEN}.")
		s.line("  # The token stays outside: the agent sees a placeholder.")
		s.line("  github: {kind: github}")
		return
	}
	s.line("  # The token stays outside: the agent sees a placeholder in GITHUB_TOKEN.")
	s.line("  github: {kind: github, credential: {env: GITHUB_TOKEN}}")
}

// otherRemote leaves a service for a git host that no kind is made for, to be
// filled in.
func (s *starter) otherRemote() {
	if why, _ := badHost(s.r.Remote); why != "" {
		return
	}
	s.line("")
	s.line("# To fetch from and push to %s, take away the # and add lines for it:", s.r.Remote)
	s.line("# services:")
	s.line("#   remote: {kind: http, host: %s, git: true, credential: {env: GIT_TOKEN}, inject: {basic: git}}", s.r.Remote)
}

func (s *starter) reads() {
	s.line("")
	s.line("read:")
	s.line("  - files: [\".\"]")
	if s.r.GitHub != "" {
		s.line("  - github: %s", s.r.GitHub)
	}
	s.line("  # Pages to look things up on. What comes from them is untrusted.")
	s.line("  # - web: [docs.example.com]")
}

func (s *starter) writes() {
	s.line("")
	s.line("write:                      # every write says why")
	s.line("  - files: [\".\"]            # git hooks, CI and the like stay closed unless named")
	s.line("    because: the work is done in the working tree")
}

func (s *starter) asks() {
	if s.r.GitHub == "" {
		return
	}
	s.line("")
	s.line("ask:                        # a person approves each one; under write it would not be asked")
	s.line("  - github: %s", s.r.GitHub)
	s.line("    operations: [git.push, pulls.create]")
	branch := clean(s.r.Branch, "the default branch")
	s.line("    because: %s", quote("nothing reaches "+branch+" or others unseen"))
}

// expect fixes what must stay refused, whatever is added later.
func (s *starter) expect() {
	s.line("")
	s.line("expect:                     # the file does not load when one of these is wrong")
	if s.r.GitHub != "" {
		s.line("  - deny: \"http DELETE https://api.github.com/repos/%s\"", s.r.GitHub)
	}
	s.line("  - deny: \"http POST https://example.com/upload\"")
	s.line("  - deny: \"files write .git/hooks/pre-commit\"")
}
