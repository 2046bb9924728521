package grants

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHostileSizes: files made to be slow or deep are refused in bounded time,
// with a bounded number of errors.
func TestHostileSizes(t *testing.T) {
	var keys, lines, services strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&keys, "key%d: x\n", i)
		fmt.Fprintf(&lines, "  - filles%d: x\n", i)
		fmt.Fprintf(&services, "  s%d: {kin: http}\n", i)
	}
	for name, src := range map[string]string{
		"too long":       "agent: a\n#" + strings.Repeat("x", MaxFileSize),
		"brackets":       "agent: " + strings.Repeat("[", 200_000),
		"braces":         strings.Repeat("{a: ", 9_000) + "x" + strings.Repeat("}", 9_000),
		"indents":        strings.Repeat("- ", 9_000) + "x",
		"keys":           "agent: a\n" + keys.String(),
		"one key":        "agent: a\n" + strings.Repeat("owner: x\n", 50_000),
		"lines":          "agent: a\nread:\n" + lines.String(),
		"services":       "agent: a\nservices:\n" + services.String(),
		"a long list":    "agent: a\nread:\n  - files: [" + strings.Repeat("x, ", 200_000) + "]\n",
		"a long word":    "agent: " + strings.Repeat("a", 900_000),
		"a long key":     strings.Repeat("a", 1_000) + ": x\n",
		"many aliases":   "a: &a [x]\n" + strings.Repeat("- *a\n", 50_000),
		"not UTF-8":      "agent: \xff\n",
		"NUL":            "agent: a\x00b\n",
		"byte order":     "\ufeffagent: [x]\n",
		"other newline":  "agent: a\u2028owner: b\n",
		"hidden line":    "agent: a # a comment\u0085owner: b\n",
		"bare return":    "agent: a # a comment\rowner: b\n",
		"turned comment": "agent: a # \u202eenoyreve\n",
	} {
		begin := time.Now()
		_, err := Load("f", []byte(src), testKinds(), noon())
		es, ok := errors.AsType[Errors](err)
		if !ok || len(es) == 0 || len(es) > MaxErrors {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(begin); d > time.Minute {
			t.Errorf("%s took %v", name, d)
		}
		if n := len(fmt.Sprint(err)); n > 64<<10 {
			t.Errorf("%s: %d bytes of errors", name, n)
		}
	}
}

// TestNoSecretInErrors: what stands where a secret is often put by mistake is
// not repeated by any message.
func TestNoSecretInErrors(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, src := range []string{
		"services: {a: {kind: http, host: a.example, credential: " + secret + "}}",
		"services: {a: {kind: http, host: a.example, credential: {env: " + secret + "}}}",
		"services: {a: {kind: http, host: a.example, credential: {value: " + secret + "}}}",
		"services: {a: {kind: http, host: a.example, token: " + secret + "}}",
		"services: {a: {kind: http, host: a.example, credential: [" + secret + "]}}",
		"sandbox: {env: [API_TOKEN=" + secret + "]}",
		"services: {a: {kind: http, host: \"https://u:" + secret + "@a.example\"}}",
		"read: [{web: \"https://u:" + secret + "@a.example/x\"}]",
		"expect: [{allow: \"http GET https://u:" + secret + "@a.example/x\"}]",
	} {
		if msg := loadError(t, head+src+"\n"); strings.Contains(msg, secret) {
			t.Errorf("%s:\n%s", src, msg)
		}
	}
	token := "ghp_" + strings.Repeat("a1B2", 9)
	for _, src := range []string{"owner: " + token, "read: [{" + token + ": x}]", token + ": x", "uses: [" + token + "]", "expires: " + token} {
		if msg := loadError(t, head+src+"\n"); strings.Contains(msg, token) {
			t.Errorf("%s:\n%s", src, msg)
		}
	}
}

// TestShortOperations: names within the kind, whole names, and methods of http
// for every kind that speaks it.
func TestShortOperations(t *testing.T) {
	g := mustLoad(t, api+`read:
  - web: docs.example
    operations: [get]
  - github: acme/web
    operations: [repos.get, github.pulls.list, git.fetch]
ask:
  - github: /graphql
    operations: [post]
    because: b
`)
	for text, want := range map[string]string{
		"http GET https://docs.example/x": "allow", "http HEAD https://docs.example/x": "deny", "github repos.get acme/web": "allow",
		"github github.pulls.list acme/web": "allow", "github git.fetch acme/web": "allow", "github git.push acme/web": "deny",
		"http POST https://api.github.com/graphql": "ask", "web get docs.example/x": "allow",
	} {
		if d := verdict(t, g, text); d.Verdict.String() != want {
			t.Errorf("%s: %+v, want %s", text, d, want)
		}
	}
}

// TestOtherEditors: line ends and a byte order mark of other systems are fine.
func TestOtherEditors(t *testing.T) {
	plain := mustLoad(t, "agent: a\nread:\n  - files: .\n").file.Digest()
	for _, src := range []string{"agent: a\r\nread:\r\n  - files: .\r\n", "\ufeffagent: a\nread:\n  - files: .", "---\nagent: a\nread:\n  - files: .\n", "%YAML 1.1\n---\nagent: a\nread: [{files: .}]\n...\n"} {
		f, err := Parse("f", []byte(src))
		if err != nil {
			t.Errorf("%q: %v", src, err)
		} else if f.Digest() != plain {
			t.Errorf("%q: another digest", src)
		}
	}
}
