package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"ambit/internal/ambittest"
)

// TestNPMInstall installs a package from the registry's name and uses it.
func TestNPMInstall(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		reg := ambittest.NewNPM(t, ambittest.NewCA(t), "registry.npmjs.org", map[string]string{
			"left-pad": "module.exports = (s, n) => String(s).padStart(n)\n", "not-asked-for": "\n"})
		h := ambittest.NewHome(t, uid)
		h.Grants(t, "uses: [node]\n"+head+"services:\n"+
			service("npm", "http", "registry.npmjs.org", reg, ", encoded-slash: true")+files)
		h.File(t, "package.json", `{"name": "x", "version": "1.0.0", "dependencies": {"left-pad": "1.0.0"}}`)
		r := h.Do(t, "run", "--", "sh", "-c",
			`npm install --no-audit && node -e "console.log('[' + require('left-pad')('x', 4) + ']')"; npm publish 2>&1 | tail -3`)
		want(t, r, 0)
		has(t, "the agent's output", r.Stdout, "[   x]")
		for _, p := range []string{".github/workflows", ".travis.yml", ".vscode"} {
			if _, err := os.Lstat(filepath.Join(h.Workspace, "node_modules/left-pad", p)); err == nil {
				t.Errorf("%s was made below the workspace", p)
			}
		}
		if _, err := os.Stat(filepath.Join(h.User, ".npm")); err == nil {
			t.Error("the person's npm cache was written to")
		}
		for _, s := range reg.Seen() {
			if s.Method != "GET" {
				t.Errorf("the registry saw %s %s", s.Method, s.URL)
			}
		}
		if t.Failed() {
			t.Log(r)
		}
		verified(t, h)
	})
}

// TestPythonUrllib fetches with Python's standard library alone.
func TestPythonUrllib(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		docs := ambittest.NewDocs(t, ambittest.NewCA(t), "docs.example.org")
		h := ambittest.NewHome(t, uid)
		h.Grants(t, "uses: [python]\n"+head+"services:\n"+service("docs", "http", "docs.example.org", docs, "")+
			"read:\n  - files: [\".\"]\n  - docs: /page\n")
		h.File(t, "fetch.py", `
import json, urllib.error, urllib.request
print(urllib.request.urlopen("https://docs.example.org/page").read().decode())
for url in ["https://docs.example.org/other", "https://attacker.example.org/"]:
    try:
        urllib.request.urlopen(url)
        print("got", url)
    except urllib.error.HTTPError as e:
        print(e.code, json.load(e)["error"]["code"])
    except urllib.error.URLError as e:
        print("refused", e.reason)
try:
    open("written", "w")
    print("wrote")
except OSError as e:
    print("cannot write:", e.strerror)
`)
		r := h.Do(t, "run", "--", "python3", "fetch.py")
		want(t, r, 0)
		has(t, "the agent's output", r.Stdout, "ready-made answers", "403 denied", "refused", "cannot write")
		if n := len(docs.Seen()); n != 1 {
			t.Errorf("the service saw %d requests, want 1", n)
		}
		if t.Failed() {
			t.Log(r)
		}
		verified(t, h)
	})
}

// TestGoBuild builds a program with a module from the mirror's name. What the
// build puts into the module cache does not outlive the task.
func TestGoBuild(t *testing.T) {
	slow(t)
	uid := ambittest.Users()[len(ambittest.Users())-1] // it takes half a minute: once is enough
	proxy := ambittest.NewGoProxy(t, ambittest.NewCA(t), "proxy.golang.org", "example.org/greet", map[string]string{
		"go.mod": "module example.org/greet\n\ngo 1.22\n", "greet.go": "package greet\n\nconst Hello = \"hello from a module\"\n"})
	h := ambittest.NewHome(t, uid)
	h.Grants(t, "uses: [go]\n"+head+
		"sandbox:\n  env: [GONOSUMDB=example.org, GOFLAGS=-mod=mod, CGO_ENABLED=0]\n"+
		"services:\n"+service("mirror", "http", "proxy.golang.org", proxy, "")+
		"read:\n  - files: [\".\"]\n  - mirror: /**\nwrite:\n  - files: [\".\"]\n    because: the work is done here\n")
	h.File(t, "go.mod", "module x\n\ngo 1.22\n\nrequire example.org/greet v1.0.0\n")
	h.File(t, "main.go", "package main\n\nimport \"example.org/greet\"\n\nfunc main() { println(greet.Hello) }\n")
	cache := filepath.Join(h.User, "go", "pkg", "mod")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	h.Own(t)
	r := h.Do(t, "run", "--", "sh", "-c", "go build -o x . && ./x")
	want(t, r, 0)
	has(t, "the program's output", r.Stderr, "hello from a module")
	if found, _ := filepath.Glob(filepath.Join(cache, "*")); len(found) != 0 {
		t.Errorf("the person's module cache was changed: %v", found)
	}
	if t.Failed() {
		t.Log(r)
	}
	verified(t, h)
}
