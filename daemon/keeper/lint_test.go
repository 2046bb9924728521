package keeper

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ambit/gate/web"
	"ambit/grants"
)

// person is an environment with a home and a PATH.
func person(home, path string) func(string) string {
	return func(k string) string { return map[string]string{"HOME": home, "PATH": path}[k] }
}

// TestLoadRefusesWhatIsDangerous: every finding of severity error is named at
// once, with its place, its rule and both ways out; a reason beside it, and
// warnings alone, let the file load. Those who only read it get it anyway.
func TestLoadRefusesWhatIsDangerous(t *testing.T) {
	const dangerous = "agent: t\nsandbox: {env: [DEPLOY_TOKEN]}\nwrite:\n  - files: [.git/hooks, CLAUDE.md]\n    because: b\n"
	for name, c := range map[string]struct {
		text string
		says []string // nothing when it loads
	}{
		"nothing":      {minimal, nil},
		"warnings":     {"agent: t\nexpires: 9h\nwrite: [{files: ., because: b}]\n", nil},
		"three errors": {dangerous, []string{"ambit.yaml:2:17: E credential-read ", "ambit.yaml:4:13: E runs-outside ", "ambit.yaml:4:25: E steers-agent ", "take it out", "lint-accept: {runs-outside: reason}", "under sandbox", "3 errors of lint", "ambit lint"}},
		"one of them accepted": {dangerous + "    lint-accept: {runs-outside: it writes hooks}\n",
			[]string{"credential-read", "steers-agent", "2 errors of lint"}},
		"all accepted": {strings.Replace(dangerous, "TOKEN]", "TOKEN], lint-accept: {credential-read: it only works in the test network}", 1) +
			"    lint-accept: {runs-outside: it writes hooks, steers-agent: it writes instructions}\n", nil},
		"accepted beside another line": {"agent: t\nread:\n  - {files: docs, lint-accept: {runs-outside: x}}\nwrite:\n  - {files: .git/hooks, because: b}\n",
			[]string{"ambit.yaml:5:13: E runs-outside"}},
	} {
		file := write(t, filepath.Join(t.TempDir(), "ambit.yaml"), c.text, 0o644)
		if g, err := Read(file, person("/home/x", ""), time.Now()); err != nil || g == nil {
			t.Errorf("%s: cannot even be read: %v", name, err)
		}
		g, err := Load(file, person("/home/x", ""), time.Now())
		if c.says == nil {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || g != nil {
			t.Errorf("%s: loaded", name)
			continue
		}
		if _, ok := errors.AsType[grants.Errors](err); !ok {
			t.Errorf("%s: the error is a %T", name, err)
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q is missing in\n%v", name, s, err)
			}
		}
		if strings.Contains(name, "one of them") && strings.Contains(err.Error(), "runs-outside") {
			t.Errorf("%s: the accepted one is still an error\n%v", name, err)
		}
	}
}

// TestLoadKnowsTheMachine: a folder in which this person's shell finds programs
// is dangerous to write, and only on this machine; so is Ambit's state.
func TestLoadKnowsTheMachine(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "ambit.yaml"), "agent: t\nwrite: [{files: ., because: b}]\n", 0o644)
	dir := filepath.Dir(file)
	for name, c := range map[string]struct {
		env  func(string) string
		rule string
	}{
		"apart":          {person("/home/x", "/usr/bin:relative"), ""},
		"PATH leads in":  {person("/home/x", "/usr/bin:"+dir+"/.venv/bin"), "on-path"},
		"state is there": {func(k string) string { return map[string]string{"HOME": "/home/x", "AMBIT_HOME": dir + "/state"}[k] }, "steers-agent"},
	} {
		_, err := Load(file, c.env, time.Now())
		if c.rule == "" && err != nil || c.rule != "" && (err == nil || !strings.Contains(err.Error(), "E "+c.rule)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLoadOwnFile: the walls keep the grants file under any name in the
// workspace; where they do not, writing it is refused.
func TestLoadOwnFile(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link.yaml")
	if err := os.Symlink(write(t, dir+"/target.yaml", "agent: t\nwrite: [{files: ., because: b}]\n", 0o644), link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file, text string
		good       bool
	}{
		"in the workspace":      {dir + "/fix.yaml", "agent: t\nwrite: [{files: ., because: b}]\n", true},
		"in a folder of it":     {dir + "/conf/fix.yaml", "agent: t\nsandbox: {workspace: " + dir + "}\nwrite: [{files: ., because: b}]\n", true},
		"with a line for that":  {dir + "/conf/own.yaml", "agent: t\nsandbox: {workspace: " + dir + "}\nwrite: [{files: conf, because: b}]\n", false},
		"a path of the sandbox": {dir + "/conf/box.yaml", "agent: t\nsandbox: {workspace: " + dir + ", write: [" + dir + "/conf]}\n", false},
		"outside":               {dir + "/conf/out.yaml", "agent: t\nsandbox: {workspace: " + dir + "/work}\nwrite: [{files: " + dir + "/conf, because: b, lint-accept: {outside-workspace: x}}]\n", false},
		"through a link":        {link, "", false},
	} {
		if c.text != "" {
			write(t, c.file, c.text, 0o644)
		}
		_, err := Load(c.file, person("/home/x", ""), time.Now())
		if c.good && err != nil || !c.good && (err == nil || !strings.Contains(err.Error(), "its own grants")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLoadReadsWhatIsDeclared: a path that the catalog cannot compare with is an
// error with its place, together with all others; in a running gate such a
// service is refused, never taken for one that declares nothing.
func TestLoadReadsWhatIsDeclared(t *testing.T) {
	service := func(path string) string {
		return "agent: t\nservices:\n  api:\n    kind: http\n    host: api.example.com\n    reads: [/v1/_search, '" + path + "']\n    graphql: '" + path + "'\nread: [{api: /v1}]\n"
	}
	for _, path := range []string{"/", "x", "/a/", "//a", "/a/../b", "/a*b", "/**/a", "/a?b", "/a%41", "/g%2525", "/a#"} {
		_, err := load(t, t.TempDir(), service(path)+"odd: 1\n", "/home/x")
		if err == nil {
			t.Errorf("%s loaded", path)
			continue
		}
		for _, s := range []string{"ambit.yaml:6:26: ", "ambit.yaml:7:14: ", "ambit.yaml:9:1: ", "3 errors"} {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q is missing in\n%v", path, s, err)
			}
		}
		broken := grants.Service{Name: grants.Text{Value: "api"}, GraphQL: []grants.Text{{Value: path}}}
		c := classifier{broken: map[string]error{}}
		if _, c.broken["api"] = declared(&broken); c.broken["api"] == nil {
			t.Errorf("%s declares something", path)
		}
		if calls, err := c.Classify(web.Request{Service: "api", Kind: "http", Method: "POST", Scheme: "https", Host: "api.example.com", Segments: []string{"a"}}); err == nil {
			t.Errorf("%s: passed as %v", path, calls)
		}
	}
	for _, path := range []string{"/a", "/*", "/**", "/a/b*/**", "/a b", "/ü", "/100%", "/%zz", "/a;b=c"} {
		g, err := load(t, t.TempDir(), service(path), "/home/x")
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if c := newClassifier(g.Grants); len(c.broken) != 0 || len(c.services["api"].Reads) != 2 || len(c.services["api"].GraphQL) != 1 {
			t.Errorf("%s is not all there: %+v", path, c)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for name, text := range map[string]string{
		"plain": minimal,
		"real": "agent: t\nservices: {g: {kind: github, credential: {env: T}}}\nuses: [node, go, git, claude]\nread: [{files: .}, {g: acme/web}, {web: [a.example.com, b.example.com]}]\n" +
			"write:\n  - {files: ., because: b}\n  - {g: acme/web, operations: [pulls.create], because: b, at-most: 3, lint-accept: {way-out: b}}\nask: [{g: acme/web, operations: [git.push], because: b}]\n",
	} {
		file := filepath.Join(b.TempDir(), "ambit.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
		env := person("/home/x", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/home/x/go/bin")
		for what, f := range map[string]func(string, func(string) string, time.Time) (*Grants, error){"load": Load, "read": Read} {
			b.Run(name+"/"+what, func(b *testing.B) {
				for b.Loop() {
					if _, err := f(file, env, time.Now()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
