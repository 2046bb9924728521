package grants

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"ambit"
)

func TestProfiles(t *testing.T) {
	files, err := fs.Glob(profileFiles, "profiles/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(f, "profiles/"), ".yaml"))
	}
	if !slices.Equal(names, ProfileNames()) {
		t.Errorf("files %v, names %v", names, ProfileNames())
	}
	for _, name := range names {
		p, err := LoadProfile(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(p.Programs) == 0 || len(p.Because) < 20 {
			t.Errorf("%s names no program, or gives no reason", name)
		}
		for _, l := range p.Lines {
			if l.Profile != name || l.Because.Value == "" || l.Section != SectionRead {
				t.Errorf("%s: line %d: profile %q, section %s", name, l.Pos.Line, l.Profile, l.Section)
			}
		}
		for _, c := range slices.Concat(p.Caches, p.Read) {
			if class := ProtectedClass(strings.TrimPrefix(c.Value, "~/")); class == ClassCredentials || class == ClassShell {
				t.Errorf("%s shows %s, which is protected (%s)", name, c.Value, class)
			}
		}
		mustLoad(t, head+"uses: ["+name+"]\n")
	}
	if _, err := LoadProfile("../file"); err == nil {
		t.Error("a profile outside the folder was read")
	}
}

// TestProfileErrors: profiles are read by the same strict machinery.
func TestProfileErrors(t *testing.T) {
	for src, want := range map[string]string{
		"profile: x\nbecause: b\nprogram: [y]\n":                                `did you mean "programs"?`,
		"profile: x\n":                                                          "a profile has no because",
		"profile: y\nbecause: b\n":                                              `the profile in x is called "y"`,
		"profile: x\nbecause: b\nread: [../y]\n":                                "climbs",
		"profile: x\nbecause: b\nlines: {read: [{npm: /**}]}\n":                 `there is no service "npm"`,
		"profile: x\nbecause: b\nhome: {../y: t}\n":                             "climbs",
		"profile: x\nbecause: b\nhome: {a/../../y: t}\n":                        "climbs",
		"profile: x\nbecause: b\nhome: {/etc/y: t}\n":                           "not below the home directory",
		"profile: x\nbecause: b\nhome: {~/y: t}\n":                              "not below the home directory",
		"profile: x\nbecause: b\nhome: {.: t}\n":                                "not below the home directory",
		"profile: x\nbecause: b\nhome: {.bashrc: t}\n":                          "protected (shell)",
		"profile: x\nbecause: b\nhome: {.config/git/config: t}\n":               "protected (hooks)",
		"profile: x\nbecause: b\nhome: {.aws/credentials: t}\n":                 "protected (credentials)",
		"profile: x\nbecause: b\nhome: {y: 1, y: 2}\n":                          "appears twice",
		"profile: x\nbecause: b\nhome: {y: \"\\u202e\"}\n":                      "invisible",
		"profile: x\nbecause: b\nhome: {y: []}\n":                               "must be text",
		"profile: x\nbecause: b\nhome: [y]\n":                                   "must be a map",
		"profile: x\nbecause: b\nenv: [A_TOKEN=b]\n":                            "would put a secret",
		"profile: x\nbecause: b\nlines: {write: [{web: docs.example}]}\n":       "says why",
		"profile: x\nbecause: b\nservices: {s: {kind: http, host: Bad.Host}}\n": "capital letters",
	} {
		if _, err := parseProfile("x", []byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", src, err, want)
		}
	}
}

// TestProfileHome: what a profile puts into the agent's home is shown as it is.
func TestProfileHome(t *testing.T) {
	p, err := parseProfile("x", []byte("profile: x\nbecause: b\nhome:\n  .config/y.json: |\n    {\n      \"a\":   1\n    }\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Home) != 1 || p.Home[0].Path.Value != ".config/y.json" || p.Home[0].Data != "{\n  \"a\":   1\n}" {
		t.Errorf("%+v", p.Home)
	}
	g := mustLoad(t, head+"uses: [claude]\n")
	for _, s := range g.File().Uses[0].Home {
		if text := g.Plain(); !strings.Contains(text, "\n      "+s.Data+"\n") || !strings.Contains(text, "the file "+s.Path.Value+" in") {
			t.Errorf("%s is not shown:\n%s", s.Path.Value, text)
		}
	}
	if len(g.File().Uses[0].Home) != 1 {
		t.Errorf("%+v", g.File().Uses[0].Home)
	}
}

// TestProfileServices: a service that the file declares takes the place of a
// profile's for the same host, and a web line of a profile speaks of it.
func TestProfileServices(t *testing.T) {
	g := mustLoad(t, "agent: a\nuses: [claude, python]\nservices:\n  model: {kind: anthropic, credential: {file: ~/key}}\n  index: {kind: http, host: pypi.org}\n")
	if d := verdict(t, g, "http POST https://api.anthropic.com/v1/messages"); d.Verdict != ambit.Allow || !strings.HasPrefix(d.By, "profile claude:") {
		t.Errorf("%+v", d)
	}
	if d := verdict(t, g, "http GET https://api.anthropic.com/api/web/domain_info?domain=docs.example"); d.Verdict != ambit.Allow || !strings.HasPrefix(d.By, "profile claude:") {
		t.Errorf("%+v", d)
	}
	for _, text := range []string{"http GET https://api.anthropic.com/api/web/other", "http POST https://api.anthropic.com/api/web/domain_info", "http GET https://docs.example/"} {
		if d := verdict(t, g, text); d.Verdict != ambit.Deny {
			t.Errorf("%s: %+v", text, d)
		}
	}
	if d := verdict(t, g, "http GET https://pypi.org/simple/x/"); d.Verdict != ambit.Allow || !strings.HasPrefix(d.By, "profile python:") {
		t.Errorf("%+v", d)
	}
	if len(g.Services()) != 2 {
		t.Errorf("%+v", g.Services())
	}
	s, ok := g.Service("model")
	if !ok || s.Inject == nil || s.Inject.Header != "X-Api-Key" || s.Port != 443 || s.Scheme.Value != "https" || len(s.Env) != 0 {
		t.Errorf("%+v", s)
	}
	if s, ok := g.ServiceAt("api.anthropic.com", 443); !ok || s != "model" {
		t.Error(s, ok)
	}
}

// TestNpmScopes: the registry asks for a scoped package with an encoded slash.
func TestNpmScopes(t *testing.T) {
	g := mustLoad(t, "agent: a\nuses: [node]\n")
	for text, want := range map[string]ambit.Verdict{
		"http GET https://registry.npmjs.org/@types%2fnode": ambit.Allow,
		"http GET https://registry.npmjs.org/left-pad":      ambit.Allow,
		"http PUT https://registry.npmjs.org/left-pad":      ambit.Deny,
	} {
		if d := verdict(t, g, text); d.Verdict != want {
			t.Errorf("%s: %+v", text, d)
		}
	}
	if _, err := g.ParseAction("http GET https://registry.npmjs.org/a%2f..%2fb"); err == nil {
		t.Error("a climbing scope was taken")
	}
}

func TestEndpoints(t *testing.T) {
	g := mustLoad(t, validFiles(t)["full"])
	for _, tt := range []struct {
		host string
		port int
		want string
	}{
		{"shop.internal", 8443, "shop"}, {"shop.internal", 443, ""}, {"queue.internal", 5672, "queue"}, {"docs.python.org", 443, "web"},
		{"docs.python.org", 80, ""}, {"a.example.org", 443, "web"}, {"example.org", 443, ""}, {"a.b.example.org", 443, ""}, {"", 443, ""},
		{"api.github.com", 443, "github"}, {"169.254.169.254", 80, ""},
	} {
		got, ok := g.ServiceAt(tt.host, tt.port)
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s:%d: %q %v, want %q", tt.host, tt.port, got, ok, tt.want)
		}
	}
	if got := g.Ports(); !slices.Equal(got, []int{443, 5672, 8443}) {
		t.Error(got)
	}
	for host, want := range map[string]bool{"queue.internal": true, "shop.internal": true, "x.example.org": true, "evil.example": false, "example.org": false, "": false} {
		if g.Named(host) != want {
			t.Errorf("Named(%q) = %v", host, !want)
		}
	}
}
