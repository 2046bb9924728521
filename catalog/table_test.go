package catalog

import (
	"strings"
	"testing"

	"ambit"
)

// No table may call a DELETE, PUT or PATCH a read, and a POST only where it is
// on this list, which a person has gone through.
func TestTablesNeverLowerAMethod(t *testing.T) {
	reads := map[string]bool{}
	for _, op := range strings.Fields(`
		github.markdown github.releases.notes npm.audit
		github.orgs.list-attestations-bulk github.users.list-attestations-bulk
		anthropic.messages.create anthropic.messages.count anthropic.complete
		anthropic.prompts.generate anthropic.prompts.improve anthropic.prompts.templatize
		openai.responses.create openai.responses.count openai.responses.compact openai.chat.create
		openai.completions.create openai.embeddings.create openai.moderations.create
		openai.audio.speech openai.audio.transcriptions openai.audio.translations
		openai.images.generate openai.images.edit openai.images.vary openai.vectorstores.search`) {
		reads[op] = true
	}
	for name, data := range tables() {
		tab, err := parseTable(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(tab.ops) == 0 {
			t.Errorf("%s: no operations", name)
		}
		for line := range strings.Lines(data) {
			f := strings.Fields(line)
			if len(f) == 0 || f[0] == "#" {
				continue
			}
			method, path, op, effect := f[0], f[1], f[2], f[3]
			switch {
			case !strings.HasPrefix(op, name+"."):
				t.Errorf("%s: %s is not of %s", path, op, name)
			case method == "GET" && effect != "read" && op != "github.dependency-graph.generate-sbom-report" && !strings.HasPrefix(op, "github.secret-scanning."):
				t.Errorf("%s %s: a GET that is %s", method, path, effect)
			case method != "GET" && method != "graphql" && effect == "read" && (method != "POST" || !reads[op]):
				t.Errorf("%s %s is called a read", method, path)
			}
		}
	}
}

func tables() map[string]string {
	return map[string]string{
		"github": githubData, "anthropic": anthropicData, "openai": openAIData,
		"npm": npmData, "pypi": pypiData, "goproxy": goProxyData,
	}
}

// A model's resource is what stands below the first segment, so that a line
// of a grants file would name two things if the same stood below two of them.
// What is not below /v1 is listed here.
func TestModelPaths(t *testing.T) {
	elsewhere := map[string]bool{"/api/web/domain_info": true}
	for name, data := range map[string]string{"anthropic": anthropicData, "openai": openAIData} {
		tab := mustTable(data)
		for line := range strings.Lines(data) {
			f := strings.Fields(line)
			if len(f) == 0 || f[0] == "#" || strings.HasPrefix(f[1], "/v1/") {
				continue
			}
			if !elsewhere[f[1]] {
				t.Errorf("%s: %s is not below /v1", name, f[1])
			}
			_, below, _ := strings.Cut(f[1][1:], "/")
			for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
				if e := tab.find(m, strings.Split("v1/"+below, "/")); e != nil {
					t.Errorf("%s: %s is below /v1 too, as %s", name, below, e.op)
				}
			}
		}
	}
}

// Each line's own path finds that line's operation, so that none is shadowed.
func TestEveryLineIsReached(t *testing.T) {
	for name, data := range tables() {
		tab := mustTable(data)
		for line := range strings.Lines(data) {
			f := strings.Fields(line)
			if len(f) == 0 || f[0] == "#" {
				continue
			}
			path := strings.NewReplacer("{", "x", "...}", "", "}", "").Replace(f[1])
			e := tab.find(f[0], strings.Split(path[1:], "/"))
			if e == nil || e.op != f[2] {
				t.Errorf("%s: %s %s finds %+v, not %s", name, f[0], path, e, f[2])
			}
		}
	}
}

func TestParseTableErrors(t *testing.T) {
	for _, bad := range []string{
		"GET /a op read",
		"GET /a op maybe Summary",
		"GET /a op unknown Summary",
		"GET /a op read Summary\nGET /a op2 read Summary",
		"GET /a op read Summary\nPOST /b op write Summary",
		"GET /{a...}/b op read Summary",
		"GET /{a...} op read Summary\nGET /{b...} op2 read Summary",
	} {
		if _, err := parseTable(bad); err == nil {
			t.Errorf("read %q", bad)
		}
	}
	if _, err := parseMutations("a b"); err == nil {
		t.Error("read a short mutation")
	}
	if _, err := parseMutations("a op write\na op write"); err == nil {
		t.Error("read a mutation twice")
	}
}

func TestFindPrefersLiterals(t *testing.T) {
	tab := mustTable("GET /a/{x}/c one read S\nGET /a/b/{y...} two read S\nGET /a/b/c three read S\nGET /{x...} four read S\n")
	for path, want := range map[string]string{
		"a/b/c": "three", "a/b/d": "two", "a/b/c/d": "two", "a/x/c": "one", "a/x/d": "four", "z": "four", "a/b": "four",
	} {
		if e := tab.find("GET", strings.Split(path, "/")); e == nil || e.op != want {
			t.Errorf("%s finds %+v, not %s", path, e, want)
		}
	}
	if e := tab.find("PATCH", []string{"a"}); e != nil {
		t.Errorf("PATCH finds %+v", e)
	}
	if e := tab.find("HEAD", []string{"z"}); e == nil || e.effect != ambit.Read {
		t.Errorf("HEAD finds %+v", e)
	}
}
