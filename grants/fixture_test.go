package grants

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ambit"
)

var update = flag.Bool("update", false, "write golden files instead of comparing")

// noon is the time at which all tests take place: a Friday.
func noon() time.Time { return time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC) }

// testKinds is DefaultKinds with small stand-ins for services of a catalog.
func testKinds() Kinds {
	k := DefaultKinds()
	k.List = append(k.List,
		Kind{
			Name: "github", Resource: "repo", Segments: 2, Example: "acme/web", FoldCase: true,
			Hosts: []string{"api.github.com", "github.com"},
			Operations: append(httpOperations(),
				Operation{"git.fetch", ambit.Read, ""}, Operation{"git.push", ambit.Write, "Push to a git repository"}, Operation{"git.delete", ambit.Irreversible, ""},
				Operation{"github.repos.get", ambit.Read, "Read a repository"}, Operation{"github.repos.delete", ambit.Irreversible, ""},
				Operation{"github.pulls.list", ambit.Read, ""}, Operation{"github.pulls.create", ambit.Write, "Open a pull request"},
				Operation{"github.pulls.merge", ambit.Irreversible, "Merge a pull request"}),
			Permissions: testPermissions,
		},
		Kind{
			Name: "anthropic", Resource: "api", Example: "messages", Hosts: []string{"api.anthropic.com"},
			Inject: Inject{Header: "X-Api-Key", Format: "{}"},
			Operations: append(httpOperations(), Operation{"anthropic.messages.create", ambit.Read, ""}, Operation{"anthropic.messages.count", ambit.Read, ""},
				Operation{"anthropic.models.list", ambit.Read, ""}, Operation{"anthropic.models.get", ambit.Read, ""},
				Operation{"anthropic.web.domain", ambit.Read, ""}, Operation{"anthropic.files.delete", ambit.Irreversible, ""}),
		},
		Kind{
			Name: "openai", Resource: "api", Example: "responses", Hosts: []string{"api.openai.com"},
			Operations: append(httpOperations(), Operation{"openai.responses.create", ambit.Read, ""}, Operation{"openai.responses.compact", ambit.Read, ""},
				Operation{"openai.models.list", ambit.Read, ""}, Operation{"openai.models.get", ambit.Read, ""}),
		})
	k.Classify = testClassify
	return k
}

func testPermissions(operation string) []string {
	return map[string][]string{
		"git.fetch": {"contents:read"}, "git.push": {"contents:write"}, "github.repos.get": {"metadata:read"}, "github.pulls.list": {"pull_requests:read"},
		"github.pulls.create": {"pull_requests:write"}, "github.pulls.merge": {"contents:write", "pull_requests:write"}, "github.repos.delete": {"administration:write"},
	}[operation]
}

// testClassify knows the few requests that the tests make.
func testClassify(r Request) ([]Call, error) {
	name := strings.Join(append([]string{r.Method}, r.Segments...), "/")
	repo := func(op string, e ambit.Effect) ([]Call, error) {
		return []Call{{op, e, ambit.Resource{Kind: "repo", Segments: []string{lower(r.Segments[1]), lower(r.Segments[2])}}}}, nil
	}
	switch {
	case r.Kind == "github" && len(r.Segments) == 3 && strings.HasPrefix(name, "GET/repos/"):
		return repo("github.repos.get", ambit.Read)
	case r.Kind == "github" && len(r.Segments) == 3 && strings.HasPrefix(name, "DELETE/repos/"):
		return repo("github.repos.delete", ambit.Irreversible)
	case r.Kind == "github" && len(r.Segments) == 4 && strings.HasPrefix(name, "POST/repos/") && strings.HasSuffix(name, "/pulls"):
		return repo("github.pulls.create", ambit.Write)
	case r.Kind == "anthropic" && name == "GET/api/web/domain_info":
		return []Call{{"anthropic.web.domain", ambit.Read, ambit.Resource{Kind: "api", Segments: []string{"web", "domain_info"}}}}, nil
	case r.Kind == "anthropic" && name == "POST/v1/messages":
		return []Call{{"anthropic.messages.create", ambit.Read, ambit.Resource{Kind: "api", Segments: []string{"messages"}}}}, nil
	}
	return Kinds{}.classify(r)
}

func mustLoad(t testing.TB, src string) *Grants {
	t.Helper()
	g, err := Load("ambit.yaml", []byte(src), testKinds(), noon())
	if err != nil {
		t.Fatalf("Load: %v\n%s", err, src)
	}
	return g
}

// head is what every file needs.
const head = "agent: a\n"

func loadError(t testing.TB, src string) string {
	t.Helper()
	_, err := Load("ambit.yaml", []byte(src), testKinds(), noon())
	if err == nil {
		t.Fatalf("loaded:\n%s", src)
	}
	return err.Error()
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

// verdict is the verdict for an action as people write it, at noon.
func verdict(t testing.TB, g *Grants, text string) ambit.Decision {
	t.Helper()
	a, err := g.ParseAction(text)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := g.strictest(a, Facts{Now: noon()})
	return d
}
