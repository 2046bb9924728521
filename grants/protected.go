package grants

import (
	"strings"

	"ambit"
)

// Class says why a name is protected.
type Class string

// The classes of protected names.
const (
	ClassHooks       Class = "hooks"       // git runs it, or it tells git what to run
	ClassCI          Class = "ci"          // a build service runs it with its own secrets
	ClassAgent       Class = "agent"       // it steers an agent
	ClassEditor      Class = "editor"      // an editor runs it when the folder is opened
	ClassShell       Class = "shell"       // a shell runs it when it starts or enters the folder
	ClassCredentials Class = "credentials" // it holds secrets
)

// Reads says whether names of the class are protected from reading too. All
// are protected from writing.
func (c Class) Reads() bool { return c == ClassCredentials }

// Name is one protected name: a file or a directory with all below it, at any
// depth. A "*" at the end or at the beginning of a part stands for any letters.
// Upper and lower case are the same.
type Name struct {
	Path  string // parts joined by "/"
	Class Class
}

// Protected is the list of names that no wildcard and no directory above them
// matches: a line must name them literally.
func Protected() []Name {
	out := make([]Name, 0, 256) // a start waits for it
	for _, c := range protectedNames() {
		for p := range strings.FieldsSeq(c.names) {
			out = append(out, Name{p, c.class})
		}
	}
	return out
}

type protectedClass struct {
	class Class
	names string
}

func protectedNames() []protectedClass {
	return []protectedClass{
		{ClassHooks, `
			.git/hooks .git/config .git/config.worktree .git/info/attributes .git/modules .git/worktrees .git/commondir
			.gitmodules .gitconfig .config/git .husky .githooks .pre-commit-config.yaml .lefthook.yml lefthook.yml .hg/hgrc`},
		{ClassCI, `
			.github/workflows .github/actions .github/dependabot.yml .github/codeowners .gitlab-ci.yml .gitlab .circleci .travis.yml
			.drone.yml .woodpecker .woodpecker.yml .buildkite .teamcity .semaphore .forgejo/workflows .gitea/workflows
			jenkinsfile azure-pipelines.yml bitbucket-pipelines.yml cloudbuild.yaml appveyor.yml .appveyor.yml .ci`},
		{ClassAgent, `
			.claude .claude.json .codex .gemini .cursor .cursorrules .cursorignore .windsurf .windsurfrules .aider.conf.yml
			.continue .clinerules .roo .roomodes .amazonq .kiro .opencode opencode.json .goosehints .junie .mcp.json mcp.json
			claude.md claude.local.md agents.md agents.override.md gemini.md .rules .github/copilot-instructions.md
			.github/instructions .github/prompts .github/agents ambit.yaml ambit.yml .ambit`},
		{ClassEditor, `
			.vscode .idea .fleet .zed .vs .devcontainer .devcontainer.json .nvim.lua .nvimrc .exrc .vimrc .vim .local.vimrc
			.emacs .emacs.d .dir-locals.el .sublime-project .config/nvim .config/code .config/zed *.code-workspace`},
		{ClassShell, `
			.envrc .direnv .bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zshenv .zprofile .zlogin
			.zlogout .kshrc .cshrc .tcshrc .config/fish .inputrc .xprofile .xinitrc .xsession .config/autostart .config/systemd
			.local/bin .mise.toml mise.toml .tool-versions .tmux.conf .pam_environment .config/environment.d`},
		{ClassCredentials, `
			.env .env.* .npmrc .yarnrc .yarnrc.yml .netrc _netrc .pypirc .git-credentials .pgpass .my.cnf .htpasswd
			.aws .azure .config/gcloud .kube .docker/config.json .config/gh .config/hub .config/op .config/rclone
			.ssh .gnupg .password-store .vault-token .terraform.d .terraformrc .cargo/credentials .cargo/credentials.toml
			.gem/credentials .m2/settings.xml .gradle/gradle.properties .databrickscfg .snowsql .boto .s3cfg
			id_rsa* id_dsa* id_ecdsa* id_ed25519* *.pem *.key *.p12 *.pfx *.jks *.keystore *.kdbx *.ppk *.tfstate
			service-account.json credentials.json application_default_credentials.json
			.mozilla .thunderbird .config/google-chrome .config/chromium .local/share/keyrings`},
	}
}

// span is a protected name inside a path: its segments from..to.
type span struct {
	from, to int // to is exclusive
	class    Class
}

// spans finds the protected names in a path.
func spans(segs []string) []span {
	var out []span
	for _, n := range Protected() {
		parts := strings.Split(n.Path, "/")
		for i := 0; i+len(parts) <= len(segs); i++ {
			if matchParts(parts, segs[i:]) {
				out = append(out, span{i, i + len(parts), n.Class})
			}
		}
	}
	return out
}

func matchParts(parts, segs []string) bool {
	for i, p := range parts {
		got := strings.ToLower(segs[i])
		switch {
		case strings.HasSuffix(p, "*") && strings.HasPrefix(got, p[:len(p)-1]):
		case strings.HasPrefix(p, "*") && strings.HasSuffix(got, p[1:]):
		case p != got:
			return false
		}
	}
	return true
}

// ProtectedIn returns the class of the first protected name in a path's
// segments, and its segments; "" when there is none.
func ProtectedIn(segs []string) (Class, []string) {
	for _, s := range spans(segs) {
		return s.class, segs[s.from:s.to]
	}
	return "", nil
}

// unnamed says whether the path holds a name, protected from the effect, of
// which a segment was not matched literally; bit i of named stands for segment i.
func unnamed(segs []string, named uint64, e ambit.Effect) bool {
	for _, s := range spans(segs) {
		if e.Worst() == ambit.Read && !s.class.Reads() {
			continue
		}
		if all := uint64(1)<<s.to - uint64(1)<<s.from; named&all != all {
			return true
		}
	}
	return false
}
