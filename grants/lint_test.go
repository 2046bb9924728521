package grants

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ambit"
)

// lintText is the findings of a file, one a line, without what to do.
func lintText(g *Grants, m Machine) string {
	var b strings.Builder
	for _, f := range Lint(g, m) {
		mark := f.Severity.String()
		if f.Accepted != "" {
			mark = "accepted"
		}
		fmt.Fprintf(&b, "%d:%d %s %s\n", f.Line, f.Column, mark, f.Rule)
	}
	return b.String()
}

func here() Machine {
	return Machine{File: "/workspace/ambit.yaml", State: "/home/agent/.local/state/ambit", Path: []string{"/usr/bin", "/srv/tools"}}
}

// lintCase is what a rule finds, and the nearest file in which it finds nothing.
type lintCase struct{ name, rule, bad, good string }

const tokens = `agent: a
services:
  forge: {kind: github, credential: {env: FORGE_TOKEN}}
  api: {kind: http, host: api.example.com, credential: {env: API_TOKEN}}
  open: {kind: http, host: open.example.com}
  db: {kind: tcp, host: db.example.com, port: 5432}
`

func lintCases() []lintCase {
	const web = "  - web: docs.example.com\n"
	write := func(path string) string { return "write: [{files: " + path + ", because: b}]\n" }
	return []lintCase{
		{"web, secrets of a service, a post", "way-out",
			"read:\n" + web + "  - api: /v1/**\nwrite: [{open: /in, operations: [post], because: b}]\n",
			"read:\n" + web + "  - api: /v1/**\nask: [{open: /in, operations: [post], because: b}]\n"},
		{"a service's pages are untrusted too", "way-out",
			"read: [{forge: acme/web}]\nwrite: [{open: /in, because: b}]\n",
			"read: [{files: .}]\nwrite: [{open: /in, because: b}]\n"},
		{"a file outside", "way-out",
			"read:\n" + web + "  - files: ~/notes\nwrite: [{db: '*', because: b}]\n",
			"read:\n" + web + "  - files: [., /usr/share]\nwrite: [{db: '*', because: b}]\n"},
		{"an extra path of the sandbox", "way-out",
			"sandbox: {read: [~/notes]}\nread:\n" + web + "write: [{open: /in, because: b}]\n",
			"sandbox: {read: [/usr/share/doc]}\nread:\n" + web + "write: [{open: /in, because: b}]\n"},
		{"reading after a question is not a way in", "way-out",
			"read: [{api: /v1}, {open: /p}]\nwrite: [{open: /in, because: b}]\n",
			"read: [{files: ~/notes}]\nask: [{open: /p, operations: [get], because: b}]\nwrite: [{open: /in, because: b}]\n"},
		{"operations that only read are no way out", "way-out",
			"read: [{api: /v1}, {web: w.example.com}]\nwrite: [{open: /in, operations: [get, post], because: b}]\n",
			"read: [{api: /v1}, {web: w.example.com}]\nwrite: [{open: /in, operations: [get], because: b}]\n"},
		{"a profile's registry carries a path", "slow-way-out",
			"uses: go\nread: [{api: /v1}]\n",
			"uses: go\nread: [{files: .}]\n"},
		{"the model is no channel", "slow-way-out",
			"uses: [claude]\nread: [{api: /v1}, {open: /x}]\n",
			"uses: [claude]\nread: [{api: /v1}]\n"},
		{"a secret file", "credential-read", "read: [{files: [., .env]}]\n", "read: [{files: [., .env.example]}]\n"},
		{"in another spelling", "credential-read", "read: [{files: ~/.SSH/ID_RSA}]\n", "read: [{files: ~/ssh.txt}]\n"},
		{"written is read", "credential-read", write(".npmrc"), write("src")},
		{"a path of the sandbox", "credential-read", "sandbox: {read: [~/.aws]}\n", "sandbox: {read: [~/aws]}\n"},
		{"a variable passed on", "credential-read", "sandbox: {env: [AWS_SECRET]}\n", "sandbox: {env: [CI]}\n"},
		{"a broker's file in reach", "credential-read",
			"read: [{files: ., except: keep}]\nwrite: [{held: /x, because: b}]\n",
			"read: [{files: ., except: [keep, held.txt]}]\nwrite: [{held: /x, because: b}]\n"},
		{"instructions", "steers-agent", write("CLAUDE.md"), write("README.md")},
		{"settings", "steers-agent", write(".claude/settings.json"), write("docs")},
		{"other agents' home", "steers-agent", write("~/.codex"), write("src")},
		{"hooks", "runs-outside", write(".git/hooks/pre-commit"), write(".git/objects")},
		{"a submodule's configuration", "runs-outside", write("sub/.GIT/config"), write("sub/x")},
		{"CI", "runs-outside", write(".github/workflows"), write(".github/notes")},
		{"editor", "runs-outside", write(".vscode/tasks.json"), write("tasks.json")},
		{"shell", "runs-outside", "sandbox: {write: [~/.bashrc]}\n", write("bashrc")},
		{"a build file by name", "runs-outside", write("tools/Makefile"), write("tools/notes")},
		{"the home's programs", "on-path", write("~/bin"), write("bin")},
		{"the folder above them", "on-path", write("'~'"), write(".")},
		{"all of the machine", "on-path", write("/"), write(".")},
		{"one program", "on-path", write("/usr/local/bin/tool"), write("tool")},
		{"a folder of this machine's PATH", "on-path", "sandbox: {write: [/srv]}\n", "sandbox: {write: [./srv]}\n"},
		{"an interpreter's library", "on-path", write("/usr/lib/python3"), write("lib")},
		{"elsewhere", "outside-workspace", write("/data"), write("data")},
		{"the workspace", "build-files", write("."), write("src")},
		{"delete by exception", "without-asking",
			"write: [{api: /v1/x, operations: [delete], without-asking: true, until: 2030-03-01T18:00:00Z, because: b}]\n",
			"ask: [{api: /v1/x, operations: [delete], because: b}]\n"},
		{"push", "pushes-build",
			"write: [{forge: acme/web, operations: [git.push], because: b}]\n",
			"ask: [{forge: acme/web, operations: [git.push], because: b}]\n"},
		{"push among all", "pushes-build",
			"write: [{forge: acme/web, because: b}]\n",
			"write: [{forge: acme/web, operations: [pulls.create], because: b}]\n"},
		{"one label", "wildcard-host", "read: [{web: '*.example.org'}]\n", "read: [{web: www.example.org}]\n"},
		{"a paste", "open-host", "read: [{web: gist.github.com}]\n", "read: [{web: docs.github.com}]\n"},
		{"below one", "open-host", "read: [{web: '*.pages.dev'}]\n", "read: [{web: pages.dev.example.com}]\n"},
		{"all of a host", "whole-host", "write: [{api: /**, because: b}]\n", "write: [{api: /v1/**, because: b}]\n"},
		{"all of a web host", "whole-host", "write: [{web: w.example.com, because: b}]\n", "write: [{web: w.example.com/in, because: b}]\n"},
		{"all of an owner", "tenant-wide", "read: [{forge: acme/*}]\n", "read: [{forge: acme/web}]\n"},
		{"all owners", "tenant-wide", "read: [{forge: '*/*'}]\n", "read: [{forge: /user}]\n"},
		{"writes without end", "unbounded", "write: [{api: /v1/x, because: b}]\n", "write: [{api: /v1/x, at-most: 10, because: b}]\n"},
		{"a connection", "unseen-tcp", "write: [{db: '*', because: b}]\n", "ask: [{db: '*', because: b}]\n"},
		{"nine hours", "long-life", "expires: 9h\n", "expires: 8h\n"},
		{"a duplicate", "never-matches", "read: [{api: /v1/x}, {api: /v1/x}]\n", "read: [{api: /v1/x}, {api: /v1/y}]\n"},
		{"below a wider one", "never-matches", "read: [{api: /v1/**}, {api: /v1/a/b}]\n", "read: [{api: /v1/**}, {api: /v1}]\n"},
		{"the wider one comes later", "never-matches", "read: [{api: /v1/ab*}, {api: /v1/a*}]\n", "read: [{api: /v1/ab*}, {api: /v1/b*}]\n"},
		{"fewer operations", "never-matches", "read: [{api: /v1}, {api: /v1, operations: [get]}]\n", "read: [{api: /v1, operations: [get]}, {api: /v1, operations: [head]}]\n"},
		{"a stricter line", "never-matches",
			"write: [{api: /v1/x, operations: [post], because: b}]\nask: [{api: /v1/**, because: b}]\n",
			"write: [{api: /v1/x, operations: [post], because: b}]\nask: [{api: /v2/**, because: b}]\n"},
		{"a limit counts", "never-matches",
			"write: [{api: /v1/**, because: b, at-most: 5}, {api: /v1/x, because: b}]\n",
			"write: [{api: /v1/**, because: b}, {api: /v1/x, because: b, at-most: 5}]\n"},
		{"a window", "never-matches",
			"read: [{api: /v1/**}, {api: /v1/x, during: 09:00-17:00 UTC}]\n",
			"read: [{api: /v1/**, during: 09:00-17:00 UTC}, {api: /v1/x}]\n"},
		{"all excepted", "never-matches", "read: [{api: [/v1/x/y, /v2], except: /v1/**}]\n", "read: [{api: [/v1/**, /v2], except: /v1/x}]\n"},
		{"an exception of the other", "never-matches",
			"read: [{api: /v1/**, except: /v1/q}, {api: /v1/**, except: [/v1/q, /v1/r]}]\n",
			"read: [{api: /v1/**, except: /v1/q}, {api: /v1/*}]\n"},
		{"a folder in a folder", "never-matches", "read: [{files: [., src]}]\n", "read: [{files: [., .env]}]\n"},
		{"in another section", "never-matches", "read: [{files: [., src]}]\n", "read: [{files: [src]}]\nwrite: [{files: [.], because: b}]\n"},
		{"a host of a wildcard", "never-matches", "read: [{web: ['*.example.org', www.example.org]}]\n", "read: [{web: ['*.example.org', a.b.example.org]}]\n"},
	}
}

func TestLintRules(t *testing.T) {
	seen := map[string]bool{"unused-service": true, "unused-accept": true, "cannot-enforce": true, "escalates": true, "plain-database": true} // below, and in TestLintDatabases
	find := func(src, rule string) bool {
		if strings.Contains(src, "held:") {
			src = "  held: {kind: http, host: held.example.com, credential: {file: held.txt}}\n" + src
		}
		return strings.Contains(lintText(mustLoad(t, tokens+src), here()), " "+rule+"\n")
	}
	for _, c := range lintCases() {
		seen[c.rule] = true
		if !find(c.bad, c.rule) {
			t.Errorf("%s: %s finds nothing in\n%s", c.name, c.rule, c.bad)
		}
		if find(c.good, c.rule) {
			t.Errorf("%s: %s finds something in the twin\n%s", c.name, c.rule, c.good)
		}
	}
	for _, id := range lintRuleIDs() {
		if !seen[id] {
			t.Errorf("no case for %s", id)
		}
	}
}

// TestLintOwnFile: a grants file under another name is in the writable
// workspace; the name ambit.yaml is protected.
func TestLintOwnFile(t *testing.T) {
	const src = head + "write: [{files: ., because: b}]\n"
	m := here()
	if s := lintText(mustLoad(t, src), m); strings.Contains(s, "steers-agent") {
		t.Error(s)
	}
	m.File = "/workspace/fix.yaml"
	if s := lintText(mustLoad(t, src), m); !strings.Contains(s, "E steers-agent") {
		t.Error(s)
	}
	if s := lintText(mustLoad(t, head+"write: [{files: ., except: fix.yaml, because: b}]\n"), m); strings.Contains(s, "steers-agent") {
		t.Error(s)
	}
	m = Machine{State: "/workspace/state"}
	if s := lintText(mustLoad(t, src), m); !strings.Contains(s, "E steers-agent") {
		t.Error("Ambit's state is writable:", s)
	}
}

func TestLintServices(t *testing.T) {
	s := lintText(mustLoad(t, tokens), here())
	if n := strings.Count(s, "W unused-service"); n != 4 {
		t.Errorf("%d unused services:\n%s", n, s)
	}
	s = lintText(mustLoad(t, head+"services: {claude: {kind: anthropic, credential: {env: ANTHROPIC_API_KEY}}}\nuses: claude\n"), here())
	if s != "" {
		t.Error("a profile's lines use the service:", s)
	}
}

func TestLintMachine(t *testing.T) {
	m := Machine{Unenforced: []Unenforced{{"sandbox.memory", "no control group", ""}, {"sandbox.cpu", "none", "x"}}}
	if s := lintText(mustLoad(t, head+"sandbox: {memory: 1GiB}\n"), m); s != "2:10 E cannot-enforce\n" {
		t.Error(s)
	}
	if s := lintText(mustLoad(t, head+"sandbox: {processes: 10}\n"), m); s != "" {
		t.Error(s)
	}
}

func TestLintEscalates(t *testing.T) {
	k := testKinds()
	k.List[0].Operations = append(k.List[0].Operations, Operation{"http.keys.create", ambit.Write, ""}, Operation{"http.keys.list", ambit.Read, ""})
	load := func(op string) string {
		g, err := Load("ambit.yaml", []byte(tokens+"write: [{open: /x, operations: ["+op+"], because: b}]\n"), k, noon())
		if err != nil {
			t.Fatal(err)
		}
		return lintText(g, here())
	}
	if s := load("keys.*"); strings.Count(s, "E escalates") != 1 {
		t.Error(s)
	}
	if s := load("http.keys.list"); strings.Contains(s, "escalates") {
		t.Error(s)
	}
}

// TestLintAccept: a reason takes one finding of one line, stays visible, and is
// itself reported when there is nothing to accept.
func TestLintAccept(t *testing.T) {
	src := tokens + `read: [{forge: acme/web}]
write:
  - {files: Makefile, because: b, lint-accept: {runs-outside: the build is its work}}
  - {files: .vscode, because: b}
  - {files: docs, because: b, lint-accept: {runs-outside: forgotten}}
`
	g := mustLoad(t, src)
	s := lintText(g, here())
	for _, want := range []string{"9:13 accepted runs-outside\n", "10:13 E runs-outside\n", "11:45 W unused-accept\n"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is missing in\n%s", want, s)
		}
	}
	if !strings.Contains(string(g.file.Canonical()), `"lint-accept":{"runs-outside":"the build is its work"}`) {
		t.Error("the canonical form does not hold the reason")
	}
	for _, bad := range []string{"lint-accept: {no-such: x}", "lint-accept: {way-out: ''}", "lint-accept: {}", "lint-accept: [x]", "lint-accept: x", "lint-accept: {way-out: [x]}"} {
		if _, err := Parse("x", []byte(head+"read: [{files: ., "+bad+"}]\n")); err == nil {
			t.Errorf("parsed: %s", bad)
		}
	}
}

// TestLintAcceptSandbox: what the section sandbox opens is accepted there, each
// rule by its own reason, and by no line's.
func TestLintAcceptSandbox(t *testing.T) {
	const box = "agent: a\nsandbox: {env: [API_TOKEN], write: [/data], lint-accept: {%s: a reason}}\n"
	for _, c := range []struct{ rule, want string }{
		{"credential-read", "2:17 accepted credential-read\n2:37 E outside-workspace\n"},
		{"outside-workspace", "2:17 E credential-read\n2:37 accepted outside-workspace\n"},
		{"on-path", "2:17 E credential-read\n2:37 E outside-workspace\n2:59 W unused-accept\n"},
	} {
		g := mustLoad(t, fmt.Sprintf(box, c.rule))
		if s := lintText(g, here()); s != c.want {
			t.Errorf("%s:\n%s", c.rule, s)
		}
		again := mustLoad(t, string(g.file.Canonical()))
		if again.file.Digest() != g.file.Digest() || len(again.file.Sandbox.Accept) != 1 {
			t.Errorf("%s: the canonical form does not hold the reason: %s", c.rule, g.file.Canonical())
		}
	}
	s := lintText(mustLoad(t, "agent: a\nsandbox: {env: [API_TOKEN]}\nread: [{files: docs, lint-accept: {credential-read: x}}]\n"), here())
	if s != "2:17 E credential-read\n3:36 W unused-accept\n" {
		t.Errorf("a line accepts what it does not give:\n%s", s)
	}
	if s := loadError(t, "agent: a\nsandbox: {lint-accept: {no-such: x}}\n"); !strings.Contains(s, "ambit.yaml:2:25: lint has no rule") {
		t.Error(s)
	}
}

// sameErrors: what refuses a file is exactly what Lint calls an error and nobody
// accepted.
func sameErrors(t *testing.T, g *Grants, m Machine) {
	t.Helper()
	var want []Finding
	for _, f := range Lint(g, m) {
		if f.Severity == SeverityError && f.Accepted == "" {
			want = append(want, f)
		}
	}
	if d := cmp.Diff(want, LintErrors(g, m), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("(-lint +refused):\n%s\n%s", d, g.file.Canonical())
	}
}

func TestLintErrors(t *testing.T) {
	unenforced := here()
	unenforced.Unenforced = []Unenforced{{"sandbox.memory", "no control group", ""}}
	n := 0
	for _, c := range lintCases() {
		for _, src := range []string{c.bad, c.good} {
			g := mustLoad(t, tokens+strings.ReplaceAll(src, "held: /x", "open: /x"))
			sameErrors(t, g, here())
			sameErrors(t, g, unenforced)
			n += len(LintErrors(g, here()))
		}
	}
	if n < 30 {
		t.Errorf("only %d errors were compared", n)
	}
	for _, src := range validFiles(t) {
		sameErrors(t, mustLoad(t, src), here())
	}
	if got := LintErrors(nil, here()); got != nil {
		t.Error(got)
	}
}

// TestStarterLint: what `ambit init` writes has nothing that must be accepted.
func TestStarterLint(t *testing.T) {
	for _, lang := range [][]string{nil, {"go"}, {"node"}, {"python"}, {"go", "node", "python"}} {
		for _, repo := range []string{"", "acme/web"} {
			for _, agent := range []string{"", "claude", "codex"} {
				g := mustLoad(t, string(Starter(Repository{Name: "web", GitHub: repo, Token: true, Languages: lang, Agent: agent})))
				for _, f := range Lint(g, here()) {
					if f.Severity == SeverityError {
						t.Errorf("%v %q %q: %+v", lang, repo, agent, f)
					}
				}
			}
		}
	}
}

func TestLintGolden(t *testing.T) {
	for name, src := range validFiles(t) {
		var b strings.Builder
		for _, f := range Lint(mustLoad(t, src), here()) {
			fmt.Fprintf(&b, "%d:%d %s %s %s\n    → %s\n", f.Line, f.Column, f.Severity, f.Rule, f.Msg, f.Remedy)
		}
		golden(t, "lint/"+name+".txt", b.String())
	}
	if got := Lint(nil, Machine{}); got != nil {
		t.Error(got)
	}
}

// TestLintShadowTruth: a line that is said to change nothing changes no verdict
// when it is taken out.
func TestLintShadowTruth(t *testing.T) {
	for _, c := range lintCases() {
		g := mustLoad(t, tokens+strings.ReplaceAll(c.bad, "held: /x", "open: /x"))
		for _, f := range Lint(g, here()) {
			if f.Rule != "never-matches" {
				continue
			}
			without := &Grants{file: g.file, kinds: g.kinds, services: g.services, byHost: g.byHost}
			for _, r := range g.rules {
				cut := *r
				cut.patterns = nil
				for i, p := range r.patterns {
					if at := r.line.Patterns[i].Pos; at.Line != f.Line || at.Column != f.Column {
						cut.patterns = append(cut.patterns, p)
					}
				}
				without.rules = append(without.rules, &cut)
			}
			for _, path := range []string{"v1", "v1/a", "v1/ab", "v1/a/b", "v1/x", "v1/x/y", "v1/q", "v1/r", "v2"} {
				for _, o := range httpOperations() {
					a := ambit.Action{Service: "api", Operation: o.Name, Effect: o.Effect, Resource: ambit.Resource{Kind: "http", Segments: strings.Split("api.example.com/"+path, "/")}}
					if x, y := slow(g, &a), slow(without, &a); x != y {
						t.Errorf("%s: %s %s is %v, and %v without the line", c.name, o.Name, path, x, y)
					}
				}
			}
		}
	}
}

// slow is the verdict as the semantics read, at noon.
func slow(g *Grants, a *ambit.Action) ambit.Verdict {
	v, any := ambit.Allow, false
	for _, r := range g.rules {
		if r.matches(a, &Facts{Now: noon()}) {
			v, any = min(v, r.verdict), true
		}
	}
	if !any {
		return ambit.Deny
	}
	return v
}

// TestLintDocs: the reference names every rule.
func TestLintDocs(t *testing.T) {
	b, err := os.ReadFile("../docs/grants.md")
	if err != nil {
		t.Fatal(err)
	}
	s, err := os.ReadFile("../docs/grants.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range LintRules() {
		if row := fmt.Sprintf("| `%s` | %s | %s |", r.ID, r.Severity, r.Summary); !strings.Contains(string(b), row) {
			t.Errorf("the reference does not have %s", row)
		}
		if !strings.Contains(string(s), `"`+r.ID+`"`) {
			t.Errorf("the schema does not know %s", r.ID)
		}
	}
}

func FuzzLint(f *testing.F) {
	for _, c := range lintCases() {
		f.Add(tokens + c.bad)
	}
	for _, src := range validFiles(f) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		g, err := Load("ambit.yaml", []byte(src), testKinds(), noon())
		if err != nil {
			return
		}
		sameErrors(t, g, here())
		for _, x := range Lint(g, here()) {
			if _, ok := lintRule(x.Rule); !ok || x.Msg == "" || x.Remedy == "" || strings.ContainsAny(x.Msg+x.Remedy, "\x00\x1b\n") {
				t.Errorf("%+v", x)
			}
		}
	})
}

func BenchmarkLint(b *testing.B) {
	for _, s := range shapes() {
		g, _ := s.load(b, 1_000)
		b.Run(strings.ReplaceAll(s.name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				Lint(g, here())
			}
		})
		b.Run(strings.ReplaceAll(s.name, " ", "-")+"/errors", func(b *testing.B) {
			for b.Loop() {
				LintErrors(g, here())
			}
		})
	}
}
