package catalog

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ambit"
)

// TestPushByAnyShape: git's own server takes a push also when the request is not in the
// exact shape of one. Whatever it takes is never a mere POST: a line that gives writing
// would let a force push pass without a question.
func TestPushByAnyShape(t *testing.T) {
	g := startGit(t)
	dir := filepath.Join(t.TempDir(), "w")
	run(t, "", "git", "clone", "-q", g.url+"/web.git", dir)
	run(t, dir, "git", "checkout", "-q", "-b", "main")
	run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", "one")
	run(t, dir, "git", "push", "-q", "origin", "main", "main:a", "main:b", "main:c", "main:d")
	head, err := os.ReadFile(filepath.Join(dir, ".git/refs/heads/main"))
	if err != nil {
		t.Fatal(err)
	}
	one := strings.TrimSpace(string(head))
	taken := 0
	for i, c := range []struct{ method, path, kind string }{
		{"POST", "/web.git/git-receive-pack?x=1", "application/x-git-receive-pack-request"},
		{"POST", "/web.git/git-receive-pack?service=git-upload-pack", "application/x-git-receive-pack-request"},
		{"POST", "/web.git/git-receive-pack/?", "application/x-git-receive-pack-request"},
		{"POST", "/web.git/git-receive-pack", "application/x-git-receive-pack-request;a=b"}, // the same type
		{"POST", "/web.git/git-receive-pack", "text/plain"},
		{"POST", "/web.git/git-receive-pack", ""},
		{"POST", "/web.git/git-receive-pack/", "application/x-git-receive-pack-request"},
		{"POST", "/web.git/Git-Receive-Pack", "application/x-git-receive-pack-request"},
		{"PUT", "/web.git/git-receive-pack", "application/x-git-receive-pack-request"},
		{"POST", "/web.git/other", "application/x-git-receive-pack-request"},
	} {
		branch := string(rune('a' + taken%4))
		req, err := http.NewRequestWithContext(t.Context(), c.method, g.url+c.path, strings.NewReader(pkt(one+" "+strings.Repeat("0", 40)+" refs/heads/"+branch+"\x00report-status delete-refs")+"0000"))
		if err != nil {
			t.Fatal(err)
		}
		if c.kind != "" {
			req.Header.Set("Content-Type", c.kind)
		}
		g.take()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "ok refs/heads/"+branch) {
			taken++
		}
		if ops := g.take(); len(ops) != 1 || ops[0] != "git.push.other irreversible" && i != 3 || ops[0] != "git.push.delete irreversible" && i == 3 {
			t.Errorf("%d: %s %s %q: the server answers %d %q to %v", i, c.method, c.path, c.kind, resp.StatusCode, b, ops)
		}
	}
	if taken == 0 {
		t.Error("git's server took none of them: nothing was tried")
	}
}

// TestRepositoryBelowRefs: a repository that is served where the refs of another stand
// is not that one's ref. Its owner's own way of naming it passes.
func TestRepositoryBelowRefs(t *testing.T) {
	create := pkt(strings.Repeat("0", 40)+" "+strings.Repeat("1", 40)+" refs/heads/main") + "0000"
	for path, want := range map[string]string{
		"/acme/web.git/refs/heads/agent/evil.git": "git.push.other irreversible http:git.test/acme/web.git/refs/heads/agent/evil.git/git-receive-pack",
		"/acme/heads/web.git":                     "git.push.create write http:git.test/acme/heads/web.git/refs/heads/main",
	} {
		r := req(t, "http", "POST", "https://git.test"+path+"/git-receive-pack", "Content-Type", "application/x-git-receive-pack-request")
		r.Service.Git, r.Body = true, []byte(create)
		if calls, err := Classify(r); err != nil || show(calls) != want {
			t.Errorf("%v %s, want %s", err, show(calls), want)
		}
	}
	r := req(t, "github", "POST", "https://github.com/acme/refs/git-receive-pack", "Content-Type", "application/x-git-receive-pack-request")
	r.Body = []byte(create)
	if calls, err := Classify(r); err != nil || show(calls) != "git.push.create write repo:acme/refs/refs/heads/main" {
		t.Errorf("%v %s", err, show(calls))
	}
}

// joining reads JSON strings as Ruby's parser did until 2.10: what follows one half of a
// pair is taken for the other half, whatever it is.
func joining(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if n, err := strconv.ParseUint(s[min(i+2, len(s)):min(i+6, len(s))], 16, 16); strings.HasPrefix(s[i:], `\ud`) && err == nil && n&0xfc00 == 0xd800 && strings.HasPrefix(s[i+6:], `\u`) {
			b.WriteString("\\ufffd")
			i += 11
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// TestHalfACharacter: two readers of JSON see different documents in one with half a
// character in it: a query here, and a mutation there. It is no query.
func TestHalfACharacter(t *testing.T) {
	const doc = `#\ud800\u000a query {repository(owner:\"acme\",name:\"web\"){name}} fragment\n mutation #\ud800\u000a on Mutation\n {deleteRepository(input:{repositoryId:1}){clientMutationId}}`
	var there struct{ Query string }
	if err := json.Unmarshal([]byte(joining(`{"query":"`+doc+`"}`)), &there); err != nil || !strings.Contains(there.Query, "mutation #") {
		t.Fatalf("%v %q", err, there.Query)
	}
	for name, c := range map[string]struct{ query, want string }{
		"as they see it":   {strings.ReplaceAll(strings.ReplaceAll(doc, `#\ud800\u000a query {repository(owner:\"acme\",name:\"web\"){name}} fragment\n`, ""), `#\ud800\u000a on Mutation\n`, ""), "github.repos.delete irreversible"},
		"as it is":         {doc, "graphql.other irreversible"},
		"the low half":     {`query {repository(owner:\"acme\",name:\"web\"){name}} #\udc00`, "graphql.other irreversible"},
		"two high halves":  {`query {repository(owner:\"acme\",name:\"web\"){name}} #\ud800\ud800`, "graphql.other irreversible"},
		"a whole one":      {`query {repository(owner:\"acme\",name:\"web\"){name}} #\ud83d\ude00`, "github.graphql.query read"},
		"an escaped slash": {`query {repository(owner:\"acme\",name:\"web\"){name}} #\\ud800`, "github.graphql.query read"},
	} {
		r := req(t, "github", "POST", "https://api.github.com/graphql", "Content-Type", "application/json")
		r.Body = []byte(`{"query":"` + c.query + `"}`)
		if calls, err := Classify(r); err != nil || operations(calls) != c.want {
			t.Errorf("%s: %v, %s, want %s", name, err, operations(calls), c.want)
		}
	}
}

// TestNamedTwice: where a name is defined twice, or a string can be read in two ways, a
// query is not one of a repository.
func TestNamedTwice(t *testing.T) {
	for query, inside := range map[string]bool{
		`query($o:String="acme"){repository(owner:$o,name:"web"){name}}`:                                                                                              true,
		`query($o:String="acme",$o:String="evil"){repository(owner:$o,name:"web"){name}}`:                                                                             false,
		`query($o:String="evil",$o:String="acme"){repository(owner:$o,name:"web"){name}}`:                                                                             false,
		`{repository(owner:"acme",name:"web"){...a}} fragment a on Repository {name}`:                                                                                 true,
		`{repository(owner:"acme",name:"web"){...a}} fragment a on Repository {name} fragment a on Repository {owner{...on User{repositories(first:9){totalCount}}}}`: false,
		`{repository(owner:"""acme""",name:"web"){name}}`:                                                                                                             false,
	} {
		r := req(t, "github", "POST", "https://api.github.com/graphql", "Content-Type", "application/json")
		body, err := json.Marshal(map[string]string{"query": query})
		if err != nil {
			t.Fatal(err)
		}
		r.Body = body
		want := "http:api.github.com/graphql"
		if inside {
			want = "repo:acme/web"
		}
		if calls, err := Classify(r); err != nil || show(calls) != "github.graphql.query read "+want {
			t.Errorf("%s: %v, %s", query, err, show(calls))
		}
	}
}

// TestMethodInAForm: what some framework takes for a form that names another method is
// refused, and one that is too long to say is not undone. Others pass as they are.
func TestMethodInAForm(t *testing.T) {
	const multipart = "--b\r\nContent-Disposition: form-data; name=%\r\n\r\nDELETE\r\n--b--\r\n"
	part := func(name string) string { return strings.Replace(multipart, "%", name, 1) }
	for _, c := range []struct {
		kind []string // the Content-Type
		body string
		bad  bool
	}{
		{nil, "_method=DELETE", true}, // Rack: a POST without a type is a form
		{[]string{""}, "_method=DELETE", true},
		{[]string{"application/x-www-form-urlencoded; charset=iso-8859-1"}, "_method=DELETE", true},
		{[]string{"application/x-www-form-urlencoded;;"}, "a=b&_method=DELETE", true},
		{[]string{"application/x-www-form-urlencoded, x"}, "_method=DELETE", true},
		{[]string{"Application/X-WWW-Form-Urlencoded x"}, "_method=DELETE", true},
		{[]string{"multipart/mixed; boundary=b"}, part(`"_method"`), true},
		{[]string{"multipart/related; boundary=b"}, part(`_method`), true},
		{[]string{"multipart/form-data; boundary=b"}, part(`"_meth\od"`), true},
		{[]string{"multipart/form-data; boundary=b; charset=x"}, part(`"_METHOD"`), true},
		{[]string{"multipart/form-data; boundary=b"}, part(`*=utf-8''%5Fmethod`), true},
		{[]string{"multipart/form-data; boundary=b"}, part(`"payment_method"`), false},
		{[]string{"application/json"}, `{"a":"_method=DELETE"}`, false},
		{[]string{"application/octet-stream"}, "_method=DELETE", false},
		{nil, `{"a":"b"}`, false},
		{nil, "", false},
	} {
		var fields []string
		for _, k := range c.kind {
			fields = append(fields, "Content-Type", k)
		}
		for _, kind := range []string{"http", "github"} {
			r := req(t, kind, "POST", map[string]string{"http": "https://h.test/a", "github": "https://api.github.com/repos/acme/web/issues"}[kind], fields...)
			r.Body = []byte(c.body)
			if calls, err := Classify(r); (err != nil) != c.bad || err == nil && calls[0].Effect != ambit.Write {
				t.Errorf("%s %q %q: %v %s", kind, c.kind, c.body, err, show(calls))
			}
			if BodyLimit(r) == 0 && c.bad {
				t.Errorf("%q: the body is not looked at", c.kind)
			}
			// Its method may stand where nobody looks.
			r.Body, r.BodyWhole = make([]byte, maxForm), false
			if calls, err := Classify(r); c.bad && !r.isMultipart() && (err != nil || calls[0].Effect != ambit.Irreversible) {
				t.Errorf("%s %q, too long: %v %s", kind, c.kind, err, show(calls))
			}
		}
	}
}

// TestStartsWork: what runs workflows again, or makes a repository elsewhere, is not
// undone; cancelling a run, and a check of one's own, are.
func TestStartsWork(t *testing.T) {
	for call, want := range map[string]ambit.Effect{
		"POST /repos/acme/web/actions/runs/1/rerun":             ambit.Irreversible,
		"POST /repos/acme/web/actions/runs/1/rerun-failed-jobs": ambit.Irreversible,
		"POST /repos/acme/web/actions/jobs/1/rerun":             ambit.Irreversible,
		"POST /repos/acme/web/check-suites/1/rerequest":         ambit.Irreversible,
		"POST /repos/acme/web/check-runs/1/rerequest":           ambit.Irreversible,
		"POST /repos/acme/web/forks":                            ambit.Irreversible,
		"POST /repos/acme/web/issues/1":                         ambit.Irreversible, // once the same as PATCH
		"POST /repos/acme/web/actions/runs/1/cancel":            ambit.Write,
		"POST /repos/acme/web/check-runs":                       ambit.Write,
		"GET /repos/acme/web/forks":                             ambit.Read,
		// What is read there is a credential.
		"GET /repos/acme/web/secret-scanning/alerts":             ambit.Irreversible,
		"GET /repos/acme/web/secret-scanning/alerts/1":           ambit.Irreversible,
		"HEAD /repos/acme/web/secret-scanning/alerts/1":          ambit.Irreversible,
		"GET /repos/acme/web/secret-scanning/alerts/1/locations": ambit.Irreversible,
		"GET /orgs/acme/secret-scanning/alerts":                  ambit.Irreversible,
		"GET /repos/acme/web/secret-scanning/scan-history":       ambit.Read,
	} {
		method, path, _ := strings.Cut(call, " ")
		r := req(t, "github", method, "https://api.github.com"+path, "Content-Type", "application/json")
		if calls, err := Classify(r); err != nil || len(calls) != 1 || calls[0].Effect != want {
			t.Errorf("%s: %v %s", call, err, show(calls))
		}
	}
}

// TestOneNameOfARepository: no spelling of a repository's name makes another resource
// of it.
func TestOneNameOfARepository(t *testing.T) {
	for url, want := range map[string]string{
		"https://github.com/acme/web.git/info/refs":                 "repo:acme/web",
		"https://github.com/Acme/WEB/info/refs":                     "repo:acme/web",
		"https://github.com/acme/web.git.git/info/refs":             "",
		"https://github.com/acme/web.GIT/info/refs":                 "",
		"https://github.com/acme/web.Git/HEAD":                      "",
		"https://ghe.test/acme/web.git.git/info/refs":               "",
		"https://api.github.com/repos/acme/web.git":                 "",
		"https://api.github.com/repos/acme/web.git/contents/secret": "",
		"https://ghe.test/api/v3/repos/acme/web.Git/pulls":          "",
		"https://api.github.com/repos/acme/web.github.io":           "repo:acme/web.github.io",
		"https://raw.githubusercontent.com/acme/web.git.git/main/a": "", // a page of the host, and of no repository
	} {
		calls, err := Classify(req(t, "github", "GET", url))
		got := ""
		if err == nil && calls[0].Resource.Kind == "repo" {
			got = "repo:" + calls[0].Resource.String()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	r := req(t, "github", "POST", "https://api.github.com/graphql", "Content-Type", "application/json")
	r.Body = []byte(`{"query":"{repository(owner:\"acme\",name:\"web.git\"){name}}"}`)
	if calls, err := Classify(r); err != nil || show(calls) != "github.graphql.query read http:api.github.com/graphql" {
		t.Errorf("%v %s", err, show(calls))
	}
}
