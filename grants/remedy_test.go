package grants

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"ambit"
)

// TestRemedyWorks applies what a remedy proposes: the file then gives that
// action, and no other that it did not give before.
func TestRemedyWorks(t *testing.T) {
	for _, text := range []string{
		"http GET https://api.example.com/a/b",
		"http POST https://api.example.com/a%20b/c",
		"http DELETE https://api.example.com/",
		"http PURGE https://api.example.com/x",
		"http GET https://api.example.com/a%22b%5b%27%3a%20",
		"http PUT https://alt.example.com:8443/x",
		"http DELETE https://api.github.com/repos/acme/web",
		"http GET https://github.com/zen",
		"http GET https://new.example/",
		"http GET https://new.example:8443/a/b",
		"http POST https://new.example:8443/a/b",
		"http GET http://new.example/a",
		"http DELETE http://new.example:81/a",
		"tcp connect db.internal:5432",
		"files read x/y z",
		"files write .git/hooks/pre-commit",
		"files read /etc/shadow",
		"files write ~/.bashrc",
		"github pulls.merge acme/web",
	} {
		before := mustLoad(t, api)
		a, err := before.ParseAction(text)
		if err != nil {
			t.Fatal(err)
		}
		remedy := before.Remedy(&a[0])
		_, line, ok := strings.Cut(remedy, "it would take:\n")
		if !ok {
			t.Errorf("%s: no line in %q", text, remedy)
			continue
		}
		src := api + line
		if head, rest, ok := strings.Cut(line, "}\n"); ok {
			src = api + strings.TrimPrefix(head, "services:\n") + "}\n" + rest
		}
		after, err := Load("ambit.yaml", []byte(src), testKinds(), noon())
		if err != nil {
			t.Errorf("%s: the remedy does not load: %v\n%s", text, err, src)
			continue
		}
		want := ambit.Allow
		if a[0].Effect.Worst() == ambit.Irreversible {
			want = ambit.Ask
		}
		if d := verdict(t, after, text); d.Verdict != want {
			t.Errorf("%s: %+v after\n%s", text, d, line)
		}
		onlyThat(t, after, text)
	}
}

// TestRemedyLoads: for every operation of every kind, whatever effect an action has by it,
// what a remedy proposes loads, and gives the action or has a person asked.
func TestRemedyLoads(t *testing.T) {
	services := map[string]string{
		"http": "svc: {kind: http, host: api.example.com}", "github": "svc: {kind: github}", "anthropic": "svc: {kind: anthropic}", "openai": "svc: {kind: openai}",
		"tcp": "svc: {kind: tcp, host: db.internal, port: 5432}", "web": "", "files": "",
		"postgres": `svc: {kind: postgres, address: "db.internal:5433", database: shop, ca: ca.pem, credential: {env: SHOP_ADMIN_URL}}`,
	}
	segments := map[string][][]string{
		"http": {{"api.example.com", "a", "b"}}, "repo": {{"acme", "web"}}, "api": {{"messages"}}, "tcp": {{"db.internal:5432"}}, "file": {{"etc", "x"}},
		kindTable: {{"public", "orders"}, {"shop"}},
	}
	for _, k := range testKinds().List {
		decl, ok := services[k.Name]
		if !ok {
			t.Fatalf("the kind %s has no service here", k.Name)
		}
		head := "agent: a\n"
		name := orElse(map[string]string{"web": "web", "files": "files"}[k.Name], "svc")
		if decl != "" {
			head += "services:\n  " + decl + "\n"
		}
		before := mustLoad(t, head)
		for _, o := range k.Operations {
			for _, e := range []ambit.Effect{ambit.Read, ambit.Write, ambit.Irreversible} {
				for _, segs := range segments[k.Resource] {
					a := ambit.Action{Agent: "a", Service: name, Operation: o.Name, Effect: e, Resource: ambit.Resource{Kind: k.Resource, Segments: segs}}
					if k.Resource == kindTable && len(segs) == 1 {
						a.Resource.Kind = kindDatabase
					}
					remedyLoads(t, before, head, &a)
				}
			}
		}
	}
}

func remedyLoads(t *testing.T, before *Grants, head string, a *ambit.Action) {
	t.Helper()
	remedy := before.Remedy(a)
	_, line, ok := strings.Cut(remedy, "it would take:\n")
	if !ok {
		return
	}
	after, err := Load("ambit.yaml", []byte(head+line), testKinds(), noon())
	if err != nil {
		t.Errorf("%s %s %s: the remedy does not load: %v\n%s", a.Effect, a.Operation, a.Resource, err, line)
		return
	}
	if d := after.DecideWith(a, Facts{Now: noon()}); d.Verdict == ambit.Deny || d.Verdict == ambit.Allow && a.Effect == ambit.Irreversible {
		t.Errorf("%s %s %s: %+v after\n%s", a.Effect, a.Operation, a.Resource, d, line)
	}
}

// onlyThat tries neighbours of the action.
func onlyThat(t *testing.T, g *Grants, text string) {
	t.Helper()
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		for _, tail := range []string{"/zzz", "zzz"} {
			f := strings.Fields(text)
			if f[0] != "http" {
				continue
			}
			if d := verdict(t, g, "http "+method+" "+strings.TrimSuffix(f[2], "/")+tail); d.Verdict != ambit.Deny && strings.Count(f[2], "/") > 2 {
				t.Errorf("%s gives %s %s too", text, method, f[2]+tail)
			}
		}
	}
}

// TestRemedyIsHarmless: whatever an agent puts into a path, the remedy stays
// short, printable, on its lines, and never proposes a wildcard.
func TestRemedyIsHarmless(t *testing.T) {
	g := mustLoad(t, api+"read: [{api: /v1/x}]\n")
	hostile := []string{
		"**", "*", "a*", "x\"]\n- api: \"/**", "\x1b[31mred", "\u202egnp.exe", "a\u200bb", strings.Repeat("A", 5000), "\"\nask: []", "{}", "${HOME}", "`id`",
		"\xff\xfe", "' # ", "\\u002a", "%2a", "ghp_0123456789abcdefghij0123456789abcdef",
	}
	for _, h := range hostile {
		for _, a := range []ambit.Action{
			{Service: "api", Operation: "http.post", Effect: ambit.Write, Resource: ambit.Resource{Kind: "http", Segments: []string{"api.example.com", h}}},
			{Service: "", Operation: h, Resource: ambit.Resource{Kind: "http", Segments: []string{h, h}}},
			{Service: h, Operation: h, Resource: ambit.Resource{Kind: h, Segments: []string{h}}},
			{Service: "files", Operation: "files.read", Effect: ambit.Read, Resource: ambit.Resource{Kind: "file", Segments: []string{"workspace", h}}},
			{Service: "github", Operation: "github.pulls.create", Effect: ambit.Write, Resource: ambit.Resource{Kind: "repo", Segments: []string{h, h}}},
		} {
			harmless(t, g, &a)
		}
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var s strings.Builder
		for range 1 + rnd.IntN(12) {
			fmt.Fprint(&s, string([]rune{'a', '*', '"', '\\', '\n', 0x202e, '/', ' ', '#', 0x1b, '-', ':'}[rnd.IntN(12)]))
		}
		harmless(t, g, &ambit.Action{Service: "api", Operation: "http.post", Effect: ambit.Write, Resource: ambit.Resource{Kind: "http", Segments: []string{"api.example.com", s.String()}}})
	}
}

func harmless(t *testing.T, g *Grants, a *ambit.Action) {
	t.Helper()
	r := g.Remedy(a)
	if len(r) > 2000 {
		t.Errorf("%q: %d bytes", a.Resource.Segments, len(r))
	}
	for _, c := range r {
		if c != '\n' && c != '…' && !unicode.IsPrint(c) {
			t.Errorf("%q: %U in the remedy", a.Resource.Segments, c)
		}
	}
	_, line, ok := strings.Cut(r, "it would take:\n")
	if !ok {
		return
	}
	if strings.Contains(line, "*") {
		t.Errorf("%q: a wildcard is proposed: %s", a.Resource.Segments, line)
	}
	head, rest, _ := strings.Cut(line, "}\n")
	src := api + line
	if rest != "" {
		src = api + strings.TrimPrefix(head, "services:\n") + "}\n" + rest
	}
	after, err := Load("ambit.yaml", []byte(src), testKinds(), noon())
	if err != nil {
		t.Errorf("%q: the remedy does not load: %v\n%s", a.Resource.Segments, err, line)
		return
	}
	if n := len(after.rules); n != 1 {
		t.Errorf("%q: the remedy is %d lines", a.Resource.Segments, n)
	}
}
