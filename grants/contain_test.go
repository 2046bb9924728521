package grants

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ambit"
)

// answer is a comparison in a word, and the action of a counterexample.
func answer(t testing.TB, child, parent *Grants) (word, action string, r Containment) {
	t.Helper()
	r, err := Contain(child, parent)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case r.Within && (r.NotShown || r.Counterexample != nil):
		t.Fatalf("two answers: %+v", r)
	case r.Within:
		return "within", "", r
	case r.Why == "":
		t.Fatalf("no reason: %+v", r)
	case r.NotShown:
		return "not shown", "", r
	}
	if r.Counterexample != nil {
		action, _ = child.ActionText(r.Counterexample)
		confirm(t, child, parent, r)
	}
	return "not within", action, r
}

// confirm asks both files again, the parent by its own name for the service.
func confirm(t testing.TB, child, parent *Grants, r Containment) {
	t.Helper()
	if r.Child.Verdict <= r.Parent.Verdict {
		t.Fatalf("the verdicts are %v and %v: %+v", r.Child.Verdict, r.Parent.Verdict, r)
	}
	if d := child.DecideWith(r.Counterexample, Facts{Now: r.At, Limits: spent{}}); d != r.Child {
		t.Fatalf("the child says %+v, not %+v", d, r.Child)
	}
}

const both = `agent: a
services:
  api: {kind: http, host: api.example.com, credential: {env: API_TOKEN}}
  forge: {kind: github, credential: {env: FORGE_TOKEN}}
  open: {kind: http, host: open.example.com}
  db: {kind: tcp, host: db.example.com, port: 5432}
`

// other names the same services otherwise.
const other = `agent: b
services:
  shop: {kind: http, host: api.example.com, credential: {env: API_TOKEN}}
  hub: {kind: github, credential: {env: FORGE_TOKEN}}
  page: {kind: http, host: [other.example.com, open.example.com]}
  store: {kind: tcp, host: db.example.com, port: 5432}
`

type containCase struct {
	name          string
	child, parent string
	want          string // the word
	action        string // of a counterexample
}

func containCases() []containCase {
	const until6, until7 = "2030-03-01T18:00:00Z", "2030-03-01T19:00:00Z"
	exception := func(until string) string {
		return "write: [{api: /v1/x, operations: [delete], without-asking: true, until: " + until + ", because: b}]\n"
	}
	return []containCase{
		{"nothing", both, both, "within", ""},
		{"the same", both + "read: [{api: /v1/**}, {files: .}]\n", both + "read: [{api: /v1/**}, {files: .}]\n", "within", ""},
		{"narrower", both + "read: [{api: [/v1/a, /v1/b*, /v1/*/c/**]}]\n", both + "read: [{api: /v1/**}]\n", "within", ""},
		{"by another name", both + "read: [{api: /v1/x}, {forge: acme/web}, {open: /q}]\nwrite: [{db: '*', because: b}]\n",
			other + "read: [{shop: /v1/**}, {hub: acme/*}, {page: [/, https://open.example.com/**]}]\nwrite: [{store: '*', because: b}]\n", "within", ""},
		{"a path beside", both + "read: [{api: [/v1/**, /v2/x]}]\n", both + "read: [{api: /v1/**}]\n", "not within", "http GET https://api.example.com/v2/x"},
		{"the folder itself", both + "read: [{api: [/v1/**, /v1]}]\n", both + "read: [{api: /v1/**}]\n", "not within", "http GET https://api.example.com/v1"},
		{"the root", both + "read: [{api: /}]\n", both + "read: [{api: /**}]\n", "not within", "http GET https://api.example.com/"},
		{"deeper", both + "read: [{api: /v1/**}]\n", both + "read: [{api: /v1/*}]\n", "not within", "http GET https://api.example.com/v1/x/x"},
		{"a wildcard against many literals", both + "read: [{api: /v1/*}]\n", both + "read: [{api: [/v1/x, /v1/y]}]\n", "not within", "http GET https://api.example.com/v1/z"},
		{"a prefix", both + "read: [{api: /v1/a*}]\n", both + "read: [{api: /v1/ab*}]\n", "not within", "http GET https://api.example.com/v1/ax"},
		{"a longer prefix", both + "read: [{api: /v1/ab*}]\n", both + "read: [{api: /v1/a*}]\n", "within", ""},
		{"a union covers", both + "read: [{api: /v1/**}]\n", both + "read: [{api: /v1/*}, {api: /v1/*/**}]\n", "within", ""},
		{"a union leaves a gap", both + "read: [{api: /v1/**}]\n", both + "read: [{api: /v1/*}, {api: /v1/*/*/**}]\n", "not within", "http GET https://api.example.com/v1/x/x"},
		{"an exception of the parent", both + "read: [{api: /v1/**}]\n", both + "read: [{api: /v1/**, except: /v1/secret/**}]\n", "not within", "http GET https://api.example.com/v1/secret/x"},
		{"the same exception", both + "read: [{api: /v1/**, except: /v1/s*/**}]\n", both + "read: [{api: /v1/**, except: /v1/secret/**}]\n", "within", ""},
		{"an exception that another line gives back", both + "read: [{api: /v1/**}]\n", both + "read: [{api: /v1/**, except: /v1/s}, {api: /v1/s}]\n", "within", ""},
		{"asked by the parent", both + "write: [{api: /v1/x, operations: [post], because: b}]\n", both + "ask: [{api: /v1/**, because: b}]\n", "not within", "http POST https://api.example.com/v1/x"},
		{"asked by the child", both + "ask: [{api: /v1/x, operations: [post], because: b}]\n", both + "write: [{api: /v1/**, because: b}]\n", "not within", ""},
		{"asked by both", both + "ask: [{api: /v1/x, operations: [post, delete], because: b}]\n", both + "ask: [{api: /v1/**, because: b}]\n", "within", ""},
		{"a stricter line of the parent within", both + "write: [{api: /v1/**, because: b}]\n",
			both + "write: [{api: /v1/**, because: b}]\nask: [{api: /v1/danger, because: b}]\n", "not within", "http POST https://api.example.com/v1/danger"},
		{"the child asks there too", both + "write: [{api: /v1/**, because: b}]\nask: [{api: /v1/d*, operations: [put, patch, post, delete], because: b}]\n",
			both + "write: [{api: /v1/**, because: b}]\nask: [{api: /v1/danger, because: b}]\n", "not within", ""},
		{"more operations", both + "write: [{forge: acme/web, operations: [pulls.create, git.push], because: b}]\n",
			both + "write: [{forge: acme/web, operations: ['pulls.*'], because: b}]\n", "not within", "forge git.push acme/web"},
		{"fewer operations", both + "write: [{forge: acme/web, operations: [pulls.create], because: b}]\n",
			both + "write: [{forge: acme/web, because: b}]\n", "within", ""},
		{"the repository's path and the repository", both + "read: [{forge: /repos/acme/web}]\n", both + "read: [{forge: acme/web}]\n", "not within", ""},
		{"all owners", both + "read: [{forge: '*/*'}]\n", both + "read: [{forge: acme/*}]\n", "not within", "forge git.fetch x/x"},
		{"a WebSocket is no POST", both + "write: [{api: /v1, because: b}]\n", both + "write: [{api: /v1, operations: [post, put, patch], because: b}]\n", "not within", ""},
		{"another host", both + "read: [{open: /}]\n", head + "read: [{web: a.example.com}]\n", "not within", "http GET https://open.example.com/"},
		{"an http service and the web", both + "read: [{open: /p}]\n", head + "read: [{web: open.example.com/**}]\n", "within", ""},
		{"the web and an http service", head + "read: [{web: open.example.com/p}]\n", both + "read: [{open: /**}]\n", "within", ""},
		{"without the credential", "agent: a\nservices: {api: {kind: http, host: api.example.com}}\nread: [{api: /v1}]\n", both + "read: [{api: /v1}]\n", "not shown", ""},
		{"another credential", "agent: a\nservices: {api: {kind: http, host: api.example.com, credential: {env: ADMIN}}}\nread: [{api: /v1}]\n", both + "read: [{api: /v1}]\n", "not shown", ""},
		{"dialled elsewhere", "agent: a\nservices: {open: {kind: http, host: open.example.com, address: '10.0.0.1:443'}}\nread: [{open: /v1}]\n", both + "read: [{open: /v1}]\n", "not shown", ""},
		{"another port", "agent: a\nservices: {open: {kind: http, host: open.example.com, port: 8443}}\nread: [{open: /v1}]\n", both + "read: [{open: /v1}]\n", "not within", "http GET https://open.example.com:8443/v1"},
		{"another scheme", "agent: a\nservices: {open: {kind: http, host: open.example.com, port: 443, scheme: http}}\nread: [{open: /v1}]\n", both + "read: [{open: /v1}]\n", "not shown", ""},
		{"declared, and not used", "agent: a\nservices: {api: {kind: http, host: api.example.com, credential: {env: ADMIN}}}\n", both, "within", ""},
		{"POSTs that read", "agent: a\nservices: {open: {kind: http, host: open.example.com, reads: [/q]}}\nread: [{open: /q}]\n", both + "read: [{open: /q}]\n", "not shown", ""},
		{"one of a wildcard", head + "read: [{web: www.example.org}]\n", head + "read: [{web: '*.example.org'}]\n", "within", ""},
		{"a wildcard against one", head + "read: [{web: '*.example.org'}]\n", head + "read: [{web: www.example.org}]\n", "not within", "http GET https://x.example.org/"},
		{"a wildcard over a service with a credential", head + "read: [{web: '*.example.com'}]\n",
			"agent: a\nservices: {api: {kind: http, host: api.example.com, credential: {env: T}}}\nread: [{api: [/, /**]}, {web: '*.example.com'}]\n", "not shown", ""},
		{"two labels", head + "read: [{web: a.b.example.org}]\n", head + "read: [{web: '*.example.org'}]\n", "not within", "http GET https://a.b.example.org/"},
		{"a wildcard over the parent's own service", head + "read: [{web: '*.example.com'}]\n", both + "read: [{api: /**}, {open: /**}, {open: /}, {web: '*.example.com'}]\n", "not shown", ""},
		{"a connection", both + "write: [{db: '*', because: b}]\n", both, "not within", "tcp connect db.example.com:5432"},
		{"a connection that is asked about", both + "ask: [{db: '*', because: b}]\n", both + "write: [{db: '*', because: b}]\n", "within", ""},
		{"a folder", head + "read: [{files: src/a}]\n", head + "read: [{files: src}]\n", "within", ""},
		{"the folder above", head + "read: [{files: .}]\n", head + "read: [{files: src}]\n", "not within", "files read /workspace"},
		{"a protected name below", head + "read: [{files: .env}]\n", head + "read: [{files: .}]\n", "not within", "files read /workspace/.env"},
		{"a protected name by name", head + "write: [{files: .git/hooks/x, because: b}]\n", head + "write: [{files: [., .git/hooks], because: b}]\n", "within", ""},
		{"reading a hook is open", head + "read: [{files: .git/hooks}]\n", head + "read: [{files: .}]\n", "within", ""},
		{"writing is not reading", head + "write: [{files: src, because: b}]\n", head + "read: [{files: src}]\n", "not within", "files write /workspace/src"},
		{"reading is in writing", head + "read: [{files: src}]\n", head + "write: [{files: src, because: b}]\n", "within", ""},
		{"a file that is taken out", head + "read: [{files: .}]\n", head + "read: [{files: ., except: secrets}]\n", "not within", "files read /workspace/secrets"},
		{"the sandbox's paths", head + "sandbox: {write: [/data/a]}\n", head + "sandbox: {read: [/data]}\n", "not within", "files write /data/a"},
		{"a profile", head + "uses: git\n", head, "not within", ""},
		{"the same profile", head + "uses: [go, node, claude]\n", head + "uses: [claude, node, go, git]\n", "within", ""},
		{"a copy is no folder", head + "uses: go\nwrite: [{files: ~/go/pkg/mod/x, because: b}]\n", head + "uses: go\n", "not shown", ""},
		{"in hours", both + "read: [{api: /v1, during: 10:00-11:00 UTC}]\n", both + "read: [{api: /v1, during: 11:00-12:30 +01:00}]\n", "within", ""},
		{"a minute longer", both + "read: [{api: /v1, during: 10:00-11:31 UTC}]\n", both + "read: [{api: /v1, during: 11:00-12:30 +01:00}]\n", "not within", "http GET https://api.example.com/v1"},
		{"over midnight", both + "read: [{api: /v1, during: fri 22:00-02:00 UTC}]\n", both + "read: [{api: /v1, during: fri 20:00-24:00 UTC}, {api: /v1, during: sat 00:00-02:00 UTC}]\n", "within", ""},
		{"on another day", both + "read: [{api: /v1, during: fri 22:00-02:00 UTC}]\n", both + "read: [{api: /v1, during: fri 00:00-24:00 UTC}]\n", "not within", "http GET https://api.example.com/v1"},
		{"all the time in pieces", both + "read: [{api: /v1}]\n", both + "read: [{api: /v1, during: 00:00-12:00 UTC}, {api: /v1, during: 12:00-24:00 UTC}]\n", "within", ""},
		{"ends earlier", both + exception(until6), both + exception(until7), "within", ""},
		{"ends later", both + exception(until7), both + exception(until6), "not within", "http DELETE https://api.example.com/v1/x"},
		{"a limit of the child", both + "read: [{api: /v1/x, at-most: 5 per hour}]\n", both + "read: [{api: /v1/**}]\n", "within", ""},
		{"a limit of the parent", both + "read: [{api: /v1/x}]\n", both + "read: [{api: /v1/**, at-most: 5 per hour}]\n", "not within", "http GET https://api.example.com/v1/x"},
		{"the same limit", both + "read: [{api: /v1/x, at-most: 5 per hour}]\n", both + "read: [{api: /v1/**, at-most: 5 per hour}]\n", "within", ""},
		{"a higher limit", both + "read: [{api: /v1/x, at-most: 6 per hour}]\n", both + "read: [{api: /v1/**, at-most: 5 per hour}]\n", "not within", "http GET https://api.example.com/v1/x"},
		{"a longer time", both + "read: [{api: /v1/x, at-most: 5 per day}]\n", both + "read: [{api: /v1/**, at-most: 5 per hour}]\n", "within", ""},
		{"a shorter time", "expires: 4h\n" + both + "read: [{api: /v1/x, at-most: 5 per minute}]\n", "expires: 4h\n" + both + "read: [{api: /v1/**, at-most: 5 per hour}]\n", "not shown", ""},
		{"often enough for the task", both + "read: [{api: /v1/x, at-most: 5 per hour}]\n", both + "read: [{api: /v1/**, at-most: 5}]\n", "within", ""},
		{"too long a task", "expires: 2h\n" + both + "read: [{api: /v1/x, at-most: 5 per hour}]\n", "expires: 2h\n" + both + "read: [{api: /v1/**, at-most: 5}]\n", "not shown", ""},
		{"two limits against one", both + "read: [{api: /v1/x, at-most: 5}, {api: /v1/y, at-most: 5}]\n", both + "read: [{api: /v1/**, at-most: 9}]\n", "not shown", ""},
		{"two limits that add up", both + "read: [{api: /v1/x, at-most: 4}, {api: /v1/y, at-most: 5}]\n", both + "read: [{api: /v1/**, at-most: 9}]\n", "within", ""},
		{"one limit over two lines", both + "read: [{api: [/v1/x, /v1/y], at-most: 5}, {api: /v1/x, at-most: 3}]\n", both + "read: [{api: /v1/**, at-most: 5}]\n", "within", ""},
		{"a way round the limit", both + "read: [{api: /v1/x, at-most: 5}, {api: /v1/y}]\n", both + "read: [{api: /v1/**, at-most: 5}]\n", "not within", "http GET https://api.example.com/v1/y"},
		{"a longer life", "expires: 2h\n" + both + "read: [{api: /v1}]\n", "expires: 1h\n" + both + "read: [{api: /v1}]\n", "not within", "http GET https://api.example.com/v1"},
		{"a longer life of nothing", "expires: 2h\n" + head, head, "not within", ""},
		{"a variable", head + "sandbox: {env: [CI]}\n", head, "not within", ""},
		{"a variable that is set", head + "sandbox: {env: [CI=1]}\n", head, "within", ""},
		{"a profile's variable", head + "uses: node\nsandbox: {env: [CI]}\n", head + "uses: node\n", "within", ""},
		{"keeps its home", head, head + "sandbox: {home: throw-away}\n", "not within", ""},
		{"throws its home away", head + "sandbox: {home: throw-away}\n", head, "within", ""},
		{"more memory", head + "sandbox: {memory: 2GiB}\n", head + "sandbox: {memory: 1GiB}\n", "not within", ""},
		{"less memory", head + "sandbox: {memory: 1GiB}\n", head + "sandbox: {memory: 2GiB}\n", "within", ""},
		{"an unknown default", head + "sandbox: {processes: 10}\n", head, "not shown", ""},
		{"processors", head + "sandbox: {cpu: 2}\n", head, "within", ""},
		{"all processors", head, head + "sandbox: {cpu: 2}\n", "not within", ""},
	}
}

func TestContain(t *testing.T) {
	for _, c := range containCases() {
		child, parent := mustLoad(t, c.child), mustLoad(t, c.parent)
		word, action, r := answer(t, child, parent)
		if word != c.want || (c.action != "" && action != c.action) {
			t.Errorf("%s: %s, %s; want %s, %s\n%+v\nchild:\n%s\nparent:\n%s", c.name, word, action, c.want, c.action, r, c.child, c.parent)
		}
		if word != "within" && c.want != "within" && r.Line == 0 && !strings.Contains(c.name, "home") && !strings.Contains(c.name, "processors") {
			t.Errorf("%s: no line: %+v", c.name, r)
		}
		for _, same := range []*Grants{child, parent} {
			if word, _, r := answer(t, same, same); word != "within" {
				t.Errorf("%s: a file is %s itself: %+v", c.name, word, r)
			}
		}
	}
}

// TestContainLines: the answer names the line that escapes, and both that decide.
func TestContainLines(t *testing.T) {
	child := mustLoad(t, both+"read:\n  - api: /v1/a\n  - api: /v1/b\n")
	parent := mustLoad(t, both+"read:\n  - api: /v1/a\n")
	_, _, r := answer(t, child, parent)
	if r.Line != 9 || r.Column != 5 || r.By != "ambit.yaml:9:5" || r.Child.By != "ambit.yaml:9:5" || r.Parent.By != ByNoGrant {
		t.Errorf("%+v", r)
	}
	child, parent = mustLoad(t, both+"write:\n  - {api: /v1/a, because: b}\n"), mustLoad(t, both+"write:\n  - {api: /v1/**, because: b}\nask:\n  - {api: /v1/*, because: b}\n")
	if _, _, r = answer(t, child, parent); r.Child.Verdict != ambit.Allow || r.Parent.Verdict != ambit.Ask || r.Parent.By != "ambit.yaml:10:5" {
		t.Errorf("%+v", r)
	}
	child, parent = mustLoad(t, both+"read: [{api: /v1/x, at-most: 6}]\n"), mustLoad(t, both+"read: [{api: /v1/x, at-most: 5}]\n")
	if _, _, r = answer(t, child, parent); r.After != 5 {
		t.Errorf("%+v", r)
	}
}

// TestContainLimits performs what a counterexample about limits says, with the
// limiters that running tasks have.
func TestContainLimits(t *testing.T) {
	for _, c := range containCases() {
		child, parent := mustLoad(t, c.child), mustLoad(t, c.parent)
		r, _ := Contain(child, parent)
		if r.After == 0 {
			continue
		}
		at := func() time.Time { return r.At }
		a, b := NewLive(child, at), NewLive(parent, at)
		for i := range r.After + 1 {
			mine, theirs := a.Decide(r.Counterexample).Verdict, b.Decide(r.Counterexample).Verdict
			if want := i < r.After; (mine <= theirs) != want {
				t.Errorf("%s: at %d the verdicts are %v and %v", c.name, i, mine, theirs)
			}
		}
	}
}

func TestContainNothing(t *testing.T) {
	g := mustLoad(t, head)
	for _, pair := range [][2]*Grants{{nil, g}, {g, nil}, {&Grants{}, g}, {g, &Grants{}}} {
		if r, err := Contain(pair[0], pair[1]); err == nil || r.Within {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if (Containment{}).Within {
		t.Error("the zero value is within")
	}
}

// TestActionText: what is written is read again as the same action.
func TestActionText(t *testing.T) {
	g := mustLoad(t, both+"read: [{web: docs.example.com}]\n")
	for _, text := range []string{
		"http GET https://api.example.com/", "http DELETE https://api.example.com/a%20b/%C3%A9", "files write /workspace/a b", "tcp connect db.example.com:5432",
		"forge github.pulls.create acme/web", "http GET https://docs.example.com/3/x",
	} {
		as, err := g.ParseAction(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := g.ActionText(&as[0]); !ok || got != text {
			t.Errorf("%s: %s, %v", text, got, ok)
		}
	}
	a := ambit.Action{Service: "api", Operation: "http.unlisted", Effect: ambit.Write, Resource: ambit.Resource{Kind: "http", Segments: []string{"api.example.com", "x"}}}
	if got, ok := g.ActionText(&a); ok || !strings.Contains(got, "(effect: write)") {
		t.Error(got)
	}
}

func TestContainGolden(t *testing.T) {
	var b strings.Builder
	for _, c := range containCases() {
		child, parent := mustLoad(t, c.child), mustLoad(t, c.parent)
		word, action, r := answer(t, child, parent)
		fmt.Fprintf(&b, "%s: %s\n", c.name, word)
		if word != "within" {
			fmt.Fprintf(&b, "    %s %s\n", r.By, r.Why)
		}
		if action != "" {
			fmt.Fprintf(&b, "    %s: %s, %s\n", action, r.Child.Verdict, r.Parent.Verdict)
		}
	}
	golden(t, "contain.txt", b.String())
}

// TestContainBudget: whatever the bound of steps, nothing is within that is not,
// and what is not looked at is not shown.
func TestContainBudget(t *testing.T) {
	for _, c := range containCases() {
		child, parent := mustLoad(t, c.child), mustLoad(t, c.parent)
		for _, steps := range []int{0, 1, 2, 5, 10, 20, 50, 100, 200, 500} {
			if r := contain(child, parent, steps); r.Within && c.want != "within" {
				t.Errorf("%s: within after %d steps", c.name, steps)
			}
		}
		if r := contain(child, parent, -1); r.Within {
			t.Errorf("%s: within without a step", c.name)
		}
	}
}
