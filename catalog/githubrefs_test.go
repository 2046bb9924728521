package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"ambit"
)

// refRoutes are the lines of GitHub's table whose operation touches refs.
func refRoutes(t *testing.T) (out [][3]string) {
	t.Helper()
	for line := range strings.Lines(githubData) {
		f := strings.Fields(line)
		if len(f) < 4 || f[0] == "#" || f[0] == "graphql" || !Refs(f[2]).Touches {
			continue
		}
		out = append(out, [3]string{f[0], f[1], f[2]})
	}
	return out
}

// refRequest names a ref where an operation's requests do: in the path, or in the body.
func refRequest(t *testing.T, method, path, op, ref string) Request {
	t.Helper()
	rule := githubRefs()[op]
	name := strings.TrimPrefix(ref, rule.under)
	if rule.under == "refs/" {
		name = ref
	}
	path = strings.NewReplacer("{o}", "acme", "{owner}", "acme", "{r}", "web", "{repo}", "web", "{n}", "7", "{w}", "ci.yml", "{path...}", "a/b", "{rest...}", "restrictions").Replace(path)
	if rule.from == "path" {
		path = strings.NewReplacer("{branch}", name, "{b}", name, "{ref...}", strings.TrimPrefix(name, "refs/")).Replace(path)
	}
	var b strings.Builder
	for part := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(part, "{") {
			part = "1"
		}
		b.WriteString(part + "/")
	}
	r := req(t, "github", method, "https://api.github.com"+strings.TrimSuffix(b.String(), "/"), "Content-Type", "application/json")
	r.Body = []byte("{}")
	if rule.from == "body" && name != "" {
		var err error
		if r.Body, err = json.Marshal(map[string]any{rule.member: name, "message": "m", "sha": "1"}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// TestEachOperationNamesItsRef: each operation of the table that touches branches or
// tags has the ref behind its repository when the request says which, and the
// repository alone when it does not.
func TestEachOperationNamesItsRef(t *testing.T) {
	found := make(map[string]bool)
	for _, route := range refRoutes(t) {
		method, path, op := route[0], route[1], route[2]
		found[op] = true
		under := Refs(op).Under
		kinds := []string{"refs/heads/", "refs/tags/"}
		if under != "refs/" {
			kinds = []string{under}
		}
		for _, kind := range kinds {
			ref := kind + "agent-fix"
			want := "repo:acme/web"
			switch {
			case under != "":
				want += "/" + ref
			case !strings.HasPrefix(path, "/repos/"):
				want = "http:"
			}
			if got := strings.Join(classified(refRequest(t, method, path, op, ref)), ", "); !strings.HasSuffix(got, want) && want != "http:" || want == "http:" && !strings.Contains(got, want) {
				t.Errorf("%s %s: %s, want %s", method, path, got, want)
			}
		}
		r := refRequest(t, method, path, op, "")
		r.Query = "branch=agent-fix&ref=refs/heads/agent-fix&base=agent-fix&tag_name=agent-fix"
		if got := strings.Join(classified(r), ", "); strings.Contains(got, "refs/") {
			t.Errorf("%s %s without a ref: %s", method, path, got)
		}
	}
	for op, rule := range githubRefs() {
		if strings.HasPrefix(op, "github.") && !found[op] && op != "github.graphql.mutation" && op != opForceRef {
			t.Errorf("%s %+v is no operation of the table", op, rule)
		}
		if !Known("github", op) {
			t.Errorf("%s is not in the list that people choose from", op)
		}
	}
	for _, o := range Operations("github") {
		if o.Effect == ambit.Read && Refs(o.Name).Touches {
			t.Errorf("%s reads, and is said to touch a ref", o.Name)
		}
	}
}

func classified(r Request) (out []string) {
	calls, err := Classify(r)
	if err != nil {
		return []string{"error: " + err.Error()}
	}
	for _, c := range calls {
		out = append(out, fmt.Sprintf("%s %s %s:%s", c.Operation, c.Effect, c.Resource.Kind, c.Resource))
	}
	return out
}

// TestForcedRefs: a branch that may lose commits is moved by force, as by a push.
func TestForcedRefs(t *testing.T) {
	const main = "PATCH https://api.github.com/repos/acme/web/git/refs/heads/main"
	for _, c := range []struct {
		to, body string
		cut      bool
		want     string
	}{
		{main, `{"sha":"1"}`, false, "update write"},
		{main, `{"sha":"1","force":false}`, false, "update write"},
		{main, `{"sha":"1","forced":true}`, false, "update write"},
		{main, `{"sha":"1","force":true}`, false, "force irreversible"},
		{main, `{"sha":"1","force":"false"}`, false, "force irreversible"},
		{main, `{"sha":"1","force":"true"}`, false, "force irreversible"},
		{main, `{"sha":"1","force":1}`, false, "force irreversible"},
		{main, `{"sha":"1","force":null}`, false, "force irreversible"},
		{main, `{"sha":"1","Force":true}`, false, "force irreversible"},
		{main, `{"sha":"1","force":false,"force":true}`, false, "force irreversible"},
		{main, `{"sha":"1","force":false,"FORCE":true}`, false, "force irreversible"},
		{main, `{"sha":"1","\u0066orce":true}`, false, "force irreversible"},
		{main, `{"sha":"1"}{"force":true}`, false, "force irreversible"},
		{main, `[{"force":true}]`, false, "force irreversible"},
		{main, ``, false, "force irreversible"},
		{main, `{"sha":"1"}`, true, "force irreversible"},
		{main + "?force=true", `{"sha":"1"}`, false, "force irreversible"},
		{main + "/", `{"sha":"1"}`, false, "force irreversible"},
		{strings.Replace(main, "heads", "tags", 1), `{"sha":"1"}`, false, "force irreversible"},
		{strings.Replace(main, "heads", "notes", 1), `{"sha":"1"}`, false, "force irreversible"},
		{strings.Replace(main, "heads/main", "heads", 1), `{"sha":"1"}`, false, "force irreversible"},
	} {
		method, url, _ := strings.Cut(c.to, " ")
		r := req(t, "github", method, url, "Content-Type", "application/json")
		r.Body, r.BodyWhole = []byte(c.body), !c.cut
		if got := classified(r); len(got) != 1 || !strings.HasPrefix(got[0], "github.git.refs."+c.want+" repo:acme/web") {
			t.Errorf("%s %s: %v, want %s", c.to, c.body, got, c.want)
		}
	}
}

// TestOddRefs: where GitHub could read another branch than the one that is read here,
// none is known, so that no line about refs gives it.
func TestOddRefs(t *testing.T) {
	const repo = "repo:acme/web"
	contents := "PUT https://api.github.com/repos/acme/web/contents/a"
	refs := "POST https://api.github.com/repos/acme/web/git/refs"
	for _, c := range []struct{ to, body, want string }{
		{contents, `{"branch":"agent/fix"}`, repo + "/refs/heads/agent/fix"},
		{contents, `{"content":"aGk=","branch":"\u0061gent/fix"}`, repo + "/refs/heads/agent/fix"},
		{contents, ` {"branch":"Main"}` + "\n", repo + "/refs/heads/Main"},
		{contents, `{"branch":"größe"}`, repo + "/refs/heads/größe"},
		{contents, `{"branch":"heads"}`, repo},
		{contents, `{}`, repo},
		{contents, ``, repo},
		{contents, `[{"branch":"a"}]`, repo},
		{contents, `{"branch":null}`, repo},
		{contents, `{"branch":7}`, repo},
		{contents, `{"branch":["a"]}`, repo},
		{contents, `{"branch":{"name":"a"}}`, repo},
		{contents, `{"branch":""}`, repo},
		{contents, `{"Branch":"a"}`, repo},
		{contents, `{"branch":"a","branch":"main"}`, repo},
		{contents, `{"branch":"a","BRANCH":"main"}`, repo},
		{contents, `{"branch":"a","\u0062ranch":"main"}`, repo},
		{contents, `{"branch":"a","x":{"y":1,"y":2}}`, repo},
		{contents, `{"branch":"a"}{"branch":"main"}`, repo},
		{contents, `{"branch":"a"} x`, repo},
		{contents, `{"branch":"a",}`, repo},
		{contents, `{/* "branch":"main" */"branch":"a"}`, repo},
		{contents, `{"branch":"\ud800main"}`, repo},
		{contents, `{"branch":"a` + "\xff" + `"}`, repo},
		{contents, `{"branch":"a\ufffd"}`, repo},
		{contents, "\ufeff" + `{"branch":"a"}`, repo},
		{contents, `{"branch":"a\u0000"}`, repo},
		{contents, `{"branch":" main"}`, repo},
		{contents, `{"branch":"main "}`, repo},
		{contents, `{"branch":"main\n"}`, repo},
		{contents, `{"branch":"a\u200bb"}`, repo},
		{contents, `{"branch":"a\u00a0b"}`, repo},
		{contents, `{"branch":"refs/heads/a"}`, repo},
		{contents, `{"branch":"REFS/heads/a"}`, repo},
		{contents, `{"branch":"heads/a"}`, repo},
		{contents, `{"branch":"tags/a"}`, repo},
		{contents, `{"branch":"remotes/origin/a"}`, repo},
		{contents, `{"branch":"pull/7/head"}`, repo},
		{contents, `{"branch":"HEAD"}`, repo},
		{contents, `{"branch":"head"}`, repo},
		{contents, `{"branch":"@"}`, repo},
		{contents, `{"branch":"@{-1}"}`, repo},
		{contents, `{"branch":"a@{u}"}`, repo},
		{contents, `{"branch":"a~1"}`, repo},
		{contents, `{"branch":"a^"}`, repo},
		{contents, `{"branch":"a:b"}`, repo},
		{contents, `{"branch":"-f"}`, repo},
		{contents, `{"branch":"a//b"}`, repo},
		{contents, `{"branch":"/a"}`, repo},
		{contents, `{"branch":"a/"}`, repo},
		{contents, `{"branch":"a/../main"}`, repo},
		{contents, `{"branch":"../tags/v1"}`, repo},
		{contents, `{"branch":"a/.b"}`, repo},
		{contents, `{"branch":"a.lock"}`, repo},
		{contents, `{"branch":"a*"}`, repo},
		{contents, `{"branch":"agent%2Ffix"}`, repo + "/refs/heads/agent%2Ffix"}, // JSON is not decoded again
		{contents, `{"branch":"` + strings.Repeat("a", 40) + `"}`, repo},
		{contents, `{"branch":"` + strings.Repeat("A1", 32) + `"}`, repo},
		{contents, `{"branch":"` + strings.Repeat("a/", 70) + `a"}`, repo},
		{contents, `{"branch":"` + strings.Repeat("a", 1100) + `"}`, repo},
		{contents + "?branch=main", `{"branch":"a"}`, repo},
		{contents + "?x", `{"branch":"a"}`, repo},
		{contents + "/", `{"branch":"a"}`, repo},

		{refs, `{"ref":"refs/heads/a"}`, repo + "/refs/heads/a"},
		{refs, `{"ref":"refs/tags/a"}`, repo + "/refs/tags/a"},
		{refs, `{"ref":"refs/notes/a"}`, repo + "/refs/notes/a"},
		{refs, `{"ref":"heads/a"}`, repo},
		{refs, `{"ref":"a"}`, repo},
		{refs, `{"ref":"refs/a"}`, repo},
		{refs, `{"ref":"refs/heads/"}`, repo},
		{refs, `{"ref":"refs/heads"}`, repo},
		{refs, `{"ref":"refs/pull/7/head"}`, repo},
		{refs, `{"ref":"refs/heads/refs/heads/a"}`, repo},
		{refs, `{"ref":"refs/heads/heads/a"}`, repo},
		{refs, `{"ref":"refs/Heads/a"}`, repo},
		{refs, `{"ref":"/refs/heads/a"}`, repo},
		{refs, `{"ref":"refs//heads/a"}`, repo},
		{refs, `{"ref":"refs/heads/a","ref":"refs/heads/main"}`, repo},

		{"PATCH https://api.github.com/repos/Acme/Web/git/refs/heads/a/b", `{"force":true}`, repo + "/refs/heads/a/b"},
		{"PATCH https://api.github.com/repos/acme/web/git/refs/heads/a%2e%2e", ``, repo},
		{"DELETE https://api.github.com/repos/acme/web/git/refs/tags/v1", ``, repo + "/refs/tags/v1"},
		{"DELETE https://api.github.com/repos/acme/web/git/refs/heads/a/", ``, repo},
		{"DELETE https://api.github.com/repos/acme/web/git/refs/heads/a?b", ``, repo},
		{"DELETE https://api.github.com/repos/acme/web/git/refs/heads", ``, repo},
		{"DELETE https://api.github.com/repos/acme/web/git/refs/a", ``, repo},
		{"DELETE https://api.github.com/repos/acme/web/git/refs/refs/heads/a", ``, repo},
		{"DELETE https://api.github.com/repos/acme/web/git/refs/heads/refs/heads/a", ``, repo},
		{"DELETE https://api.github.com/repos/acme/web/git/refs/HEADS/a", ``, repo},
		{"DELETE https://api.github.com/repos/acme/web/git/refs/heads/a%252fb", ``, repo + "/refs/heads/a%2fb"},
		{"DELETE https://ghe.test/api/v3/repos/acme/web/git/refs/heads/a", ``, repo + "/refs/heads/a"},
		{"POST https://ghe.test/api/v3/repos/acme/web/merges", `{"base":"a","head":"b"}`, repo + "/refs/heads/a"},
		{"POST https://ghe.test/repos/acme/web/merges", `{"base":"a","head":"main"}`, repo + "/refs/heads/a"},
		{"POST https://api.github.com/repos/acme/web/releases", `{"tag_name":"v1","target_commitish":"main"}`, repo + "/refs/tags/v1"},
		{"POST https://api.github.com/repos/acme/web/releases", `{"tag_name":"refs/heads/a"}`, repo},
		{"POST https://api.github.com/repos/acme/web/actions/workflows/ci.yml/dispatches", `{"ref":"main"}`, repo},
		{"POST https://api.github.com/repos/acme/web/deployments", `{"ref":"` + strings.Repeat("a", 40) + `"}`, repo},
		{"POST https://api.github.com/repos/acme/web/pulls", `{"base":"main","head":"a"}`, repo},
		{"PUT https://api.github.com/repos/acme/web/pulls/7/merge", `{"base":"main","branch":"a"}`, repo},
		{"POST https://api.github.com/repos/acme/web/branches/a/rename", `{"new_name":"b"}`, repo},
	} {
		method, url, _ := strings.Cut(c.to, " ")
		r := req(t, "github", method, url, "Content-Type", "application/json")
		r.Body = []byte(c.body)
		got := classified(r)
		if len(got) != 1 || !strings.HasSuffix(got[0], " "+c.want) {
			t.Errorf("%s %s: %v, want %s", c.to, c.body, got, c.want)
		}
	}
}

// TestRefBodies: a body that is not the plain JSON that every reader finds names no
// branch; what clients send does.
func TestRefBodies(t *testing.T) {
	const body = `{"branch":"a","content":"QUI9PQ=="}`
	for _, c := range []struct {
		fields []string
		body   string
		cut    bool
		want   bool
	}{
		{[]string{"Content-Type", "application/json"}, body, false, true},
		{[]string{"Content-Type", "application/json; charset=utf-8"}, body, false, true},
		{[]string{"Content-Type", "application/x-www-form-urlencoded"}, body, false, true}, // curl -d
		{nil, body, false, true},
		{[]string{"Content-Type", "application/json"}, body, true, false},
		{[]string{"Content-Type", "application/json; charset=utf-16"}, body, false, false},
		{[]string{"Content-Type", "application/json", "Content-Type", "text/plain"}, body, false, false},
		{[]string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, body, false, false},
		{[]string{"Content-Type", "application/x-www-form-urlencoded"}, `{"branch":"a","m":"x&branch=main"}`, false, false},
		{nil, `{"branch":"a","m":"x;branch=main"}`, false, false},
		{[]string{"Content-Type", "multipart/form-data; boundary=b"}, body, false, false},
		{[]string{"Content-Type", "text/plain"}, body, false, false},
	} {
		r := req(t, "github", "PUT", "https://api.github.com/repos/acme/web/contents/a", c.fields...)
		r.Body, r.BodyWhole = []byte(c.body), !c.cut
		got := classified(r)
		if found := len(got) == 1 && strings.HasSuffix(got[0], "/refs/heads/a"); found != c.want {
			t.Errorf("%v %s: %v", c.fields, c.body, got)
		}
	}
	for to, want := range map[string]int{
		"PUT https://api.github.com/repos/acme/web/contents/a":          maxRefBody,
		"DELETE https://api.github.com/repos/acme/web/contents/a":       maxRefBody,
		"POST https://api.github.com/repos/acme/web/git/refs":           maxRefBody,
		"POST https://ghe.test/api/v3/repos/acme/web/merges":            maxRefBody,
		"GET https://api.github.com/repos/acme/web/contents/a":          0,
		"PATCH https://api.github.com/repos/acme/web/git/refs/heads/a":  maxRefBody,
		"DELETE https://api.github.com/repos/acme/web/git/refs/heads/a": 0,
		"PUT https://api.github.com/repos/acme/web/pulls/7/merge":       0,
		"POST https://api.github.com/repos/acme/web/issues":             0,
		"PUT https://api.github.com/api/v3/repos/acme/web/contents/a":   0,
	} {
		method, url, _ := strings.Cut(to, " ")
		if got := BodyLimit(req(t, "github", method, url, "Content-Type", "application/json")); got != want {
			t.Errorf("%s: %d bytes are wanted, want %d", to, got, want)
		}
	}
}

// TestRefsAreGits: git itself takes every name that is taken here for a ref.
func TestRefsAreGits(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	for _, name := range []string{"a", "agent/fix-1", "größe", "a.b", "a-", "a{b}", "v1.0@x", "x/HEADS", "a%2fb", "日本", "a!b", "a|b", "a'b", `a"b`, "a;b", "$(a)", "a.lockx", "@a"} {
		ref, ok := canonicalRef("refs/heads/", name)
		if err := exec.Command("git", "check-ref-format", ref).Run(); !ok || err != nil {
			t.Errorf("%s: %v, and git says %v", name, ok, err)
		}
	}
}

func TestParseRefs(t *testing.T) {
	for _, bad := range []string{"a", "a - refs/", "a body.x -", "a body refs/", "a path.x refs/", "a query refs/", "a body.x heads", "a - -\na - -", "a body.x refs/ b"} {
		if m, err := parseRefs(bad); err == nil {
			t.Errorf("%q gave %v", bad, m)
		}
	}
}

// FuzzRefBody: a branch that is found in a body is the one that every other reader
// finds in it, first member or last, and whatever stands behind it.
func FuzzRefBody(f *testing.F) {
	for _, s := range []string{`{"branch":"a"}`, `{"branch":"a","branch":"b"}`, `{"branch":"\u0061"}`, `{"x":{"branch":"b"},"branch":"a/b"}`, `{"branch":"\ud83d\ude00"}`, `{"branch":"refs/heads/a"}`} {
		f.Add([]byte(s), "application/json")
	}
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		r := req(t, "github", "PUT", "https://api.github.com/repos/acme/web/contents/a", "Content-Type", kind)
		r.Body = body
		calls, err := Classify(r)
		if err != nil || len(calls[0].Resource.Segments) == 2 {
			return
		}
		ref := strings.Join(calls[0].Resource.Segments[2:], "/")
		name, ok := strings.CutPrefix(ref, "refs/heads/")
		if !ok || strings.Contains(name, "..") || strings.HasPrefix(name, "/") || strings.TrimSpace(name) != name {
			t.Fatalf("%q names %q", body, ref)
		}
		var last map[string]any
		if err := json.Unmarshal(body, &last); err != nil || last["branch"] != name {
			t.Fatalf("%q names %q, and a reader that takes the last member says %v, %v", body, name, last["branch"], err)
		}
		if first := firstMember(body, "branch"); first != name {
			t.Fatalf("%q names %q, and a reader that takes the first member says %v", body, name, first)
		}
	})
}

// firstMember is the first member of the outermost object with a name, without case.
func firstMember(body []byte, name string) any {
	d := json.NewDecoder(bytes.NewReader(body))
	if tok, err := d.Token(); err != nil || tok != json.Delim('{') {
		return nil
	}
	for d.More() {
		key, err := d.Token()
		var v any
		if err != nil || d.Decode(&v) != nil {
			return nil
		}
		if s, _ := key.(string); strings.EqualFold(s, name) {
			return v
		}
	}
	return nil
}
