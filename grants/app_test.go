package grants

import (
	"fmt"
	"strings"
	"testing"
)

// TestAppScope reads lines as what a token is for. Whatever the lines give is in it
// when an App can have it, and nothing that they do not give.
func TestAppScope(t *testing.T) {
	const service = "agent: a\nservices:\n  gh: {kind: github, credential: {app: 12, key: {env: APP_KEY}, installation: 7}}\n"
	for lines, want := range map[string]string{
		"read:\n  - gh: acme/web\n":                                                                                                     "acme [web] contents:read metadata:read pull_requests:read",
		"read:\n  - gh: Acme/Web\n    operations: [git.fetch]\n":                                                                        "acme [web] contents:read",
		"read:\n  - gh: [acme/web, acme/api]\n    operations: [pulls.list]\n":                                                           "acme [api web] pull_requests:read",
		"read:\n  - gh: acme/*\n    operations: [git.fetch]\n  - gh: acme/web\n    operations: [repos.get]\n":                           "acme all contents:read metadata:read",
		"read:\n  - gh: [acme/web, /user]\n    operations: [git.fetch]\n":                                                               "acme [web] contents:read",
		"write:\n  - gh: acme/web\n    because: x\n":                                                                                    "acme [web] contents:write pull_requests:write",
		"write:\n  - gh: acme/web\n    operations: [git.*]\n    because: x\n":                                                           "acme [web] contents:write",
		"read:\n  - gh: acme/api\n    operations: [git.fetch]\nask:\n  - gh: acme/web\n    operations: [pulls.merge]\n    because: x\n": "acme [api web] contents:write pull_requests:write",
		"ask:\n  - gh: acme/web\n    because: x\n":                                                                                      "acme [web] administration:write contents:write pull_requests:write",
	} {
		g := mustLoad(t, service+lines)
		a, ok := g.App("gh")
		what := fmt.Sprint(a.Repositories)
		if a.All {
			what = "all"
		}
		got := a.Owner + " " + what
		for _, p := range strings.Fields("administration contents metadata pull_requests") {
			if a.Permissions[p] != "" {
				got += " " + p + ":" + a.Permissions[p]
			}
		}
		if !ok || got != want {
			t.Errorf("%s\ngives %q, want %q", lines, got, want)
		}
		text := g.Plain()
		for p, level := range a.Permissions {
			if !strings.Contains(strings.Join(strings.Fields(text), " "), p+":"+level) {
				t.Errorf("explain does not say %s:%s:\n%s", p, level, text)
			}
		}
		if s, _ := g.Service("gh"); len(s.Env) != 1 || s.Env[0].Value != "GITHUB_TOKEN" {
			t.Errorf("the placeholder goes to %v", s.Env)
		}
	}
	g := mustLoad(t, "agent: a\nservices:\n  gh: {kind: github, credential: {env: T}}\nread:\n  - gh: acme/web\n")
	for _, name := range []string{"gh", "files", ""} {
		if _, ok := g.App(name); ok {
			t.Errorf("%q has an App", name)
		}
	}
}

// TestAppHasNoExceptions: what a line takes out of all of an owner's repositories, the
// token of an App would reach all the same, and Ambit alone would stand before it.
func TestAppHasNoExceptions(t *testing.T) {
	const top = "agent: a\nservices:\n  gh: {kind: github, credential: %s}\nread:\n  - gh: %s\n    except: %s\n"
	const app = "{app: 12, key: {env: APP_KEY}}"
	for _, c := range []struct {
		cred, what, except string
		loads              bool
	}{
		{app, "acme/*", "acme/secret", false},
		{app, "acme/*", "[acme/a, acme/s*]", false},
		{app, "[acme/web, acme/api]", "acme/api", false},
		{app, "[acme/*, /users/*]", "/users/evil", true},
		{"{env: TOKEN}", "acme/*", "acme/secret", true},
	} {
		_, err := Load("ambit.yaml", []byte(fmt.Sprintf(top, c.cred, c.what, c.except)), testKinds(), noon())
		if (err == nil) != c.loads || err != nil && !strings.Contains(err.Error(), "out again") {
			t.Errorf("%s, %s but %s: %v", c.cred, c.what, c.except, err)
		}
	}
}

// TestAppIsContained compares Apps by what they are, not by name alone.
func TestAppIsContained(t *testing.T) {
	file := func(cred string) *Grants {
		return mustLoad(t, "agent: a\nservices:\n  gh: {kind: github, credential: "+cred+"}\nread:\n  - gh: acme/web\n")
	}
	const app = "{app: 12, key: {file: /k}}"
	for cred, within := range map[string]bool{
		app: true, "{app: 13, key: {file: /k}}": false, "{app: 12, key: {file: /l}}": false, "{app: 12, key: {file: /k}, installation: 1}": false, "{file: /k}": false,
	} {
		if c, err := Contain(file(cred), file(app)); err != nil || c.Within != within {
			t.Errorf("%s in %s: %+v, %v", cred, app, c, err)
		}
	}
}
