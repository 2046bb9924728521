package ambittest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// GitHub is a stand-in for GitHub's API (REST, version 2022-11-28, and GraphQL) with
// one App that is installed for one owner. Installation tokens are for the
// repositories and permissions that they were made for, as GitHub's are; other tokens
// are people's and may do all. What was performed is remembered by who did it.
type GitHub struct {
	*Server
	App          int64
	Installation int64
	Owner        string
	Key          []byte // the App's private key, PEM
	public       *rsa.PublicKey

	mu        sync.Mutex
	granted   map[string]string   // what the installation has
	tokens    map[string]*ghToken // by value
	repos     map[string]*ghRepo  // by name
	performed []string
	ahead     time.Duration // of the stand-in's clock
	fault     func(http.ResponseWriter, *http.Request) bool
	issued    int
}

// ghToken is a credential; of a person when it has no permissions.
type ghToken struct {
	repos  []string // nil: all
	perms  map[string]string
	ends   time.Time
	person string
}

// ghRepo is what a repository has.
type ghRepo struct {
	node    string
	files   map[string]string
	issues  []map[string]any
	pulls   []map[string]any
	secrets map[string]bool
}

// ghKey is the App's key, made once: it takes a second.
var ghKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// NewGitHub starts one for owner with repositories. Its certificate is for names. root serves
// what no part of the API answers, git say; it may be nil.
func NewGitHub(t testing.TB, ca *CA, root http.Handler, owner string, repos []string, names ...string) *GitHub {
	t.Helper()
	key, err := ghKey()
	if err != nil {
		t.Fatal(err)
	}
	g := &GitHub{
		App: 4711, Installation: 815, Owner: owner, public: &key.PublicKey,
		Key:     pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		granted: map[string]string{"metadata": "read", "contents": "write", "pull_requests": "write", "issues": "write", "actions": "write", "checks": "read", "statuses": "read", "administration": "write", "secrets": "write"},
		tokens:  map[string]*ghToken{}, repos: map[string]*ghRepo{},
	}
	for i, r := range repos {
		g.repos[r] = &ghRepo{
			node: fmt.Sprintf("R_%d", i+1), files: map[string]string{"README.md": "# " + r + "\n"}, secrets: map[string]bool{},
			issues: []map[string]any{issueOf(1, "It is broken", "Please look at "+r)},
		}
	}
	g.Server = ServeTLS(t, ca, g.handler(root), names...)
	return g
}

func issueOf(n int, title, body string) map[string]any {
	return map[string]any{"number": n, "title": title, "body": body, "state": "open"}
}

// Grant sets what the installation has.
func (g *GitHub) Grant(perms map[string]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.granted = maps.Clone(perms)
}

// Clock sets how far the stand-in's clock is ahead.
func (g *GitHub) Clock(ahead time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ahead = ahead
}

func (g *GitHub) now() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Add(g.ahead)
}

// Fault has f see every request first; when it returns true it has answered.
func (g *GitHub) Fault(f func(http.ResponseWriter, *http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault = f
}

// PersonToken makes a token of a person's, who may do everything.
func (g *GitHub) PersonToken(person string) Canary {
	c := Canary{Name: "token of " + person, Value: "ghp_" + NewCanary("").Value[:36]}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tokens[c.Value] = &ghToken{person: person, ends: time.Now().Add(24 * time.Hour)}
	return c
}

// Issue makes an installation token without being asked by the App.
func (g *GitHub) Issue(repos []string, perms map[string]string) string {
	v := "ghs_" + NewCanary("").Value[:36]
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tokens[v] = &ghToken{repos: repos, perms: perms, ends: time.Now().Add(g.ahead + time.Hour)}
	g.issued++
	return v
}

// Issued is how many installation tokens were ever made.
func (g *GitHub) Issued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.issued
}

// Accepts says whether a token would be accepted now.
func (g *GitHub) Accepts(token string) bool { return g.live(token) != nil }

// Live lists the installation tokens that are accepted now, each as what it may do:
// "acme/web contents:read metadata:read".
func (g *GitHub) Live() (out []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.tokens {
		if t.person == "" {
			out = append(out, t.String())
		}
	}
	slices.Sort(out)
	return out
}

// String says what a token may do.
func (t *ghToken) String() string {
	s := "all"
	if t.repos != nil {
		s = strings.Join(t.repos, ",")
	}
	for _, p := range slices.Sorted(maps.Keys(t.perms)) {
		s += " " + p + ":" + t.perms[p]
	}
	return s
}

func (g *GitHub) live(token string) *ghToken {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.tokens[token]; t != nil && now.Before(t.ends) {
		return t
	}
	return nil
}

// Performed lists all that changed something, in order: "app pulls.create web", and
// "alice …" for what a person's token did.
func (g *GitHub) Performed() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.performed)
}

// credential is the token of a request, however it is sent.
func credential(r *http.Request) string {
	if _, pass, ok := r.BasicAuth(); ok {
		return pass
	}
	a := r.Header.Get("Authorization")
	for _, scheme := range []string{"Bearer ", "bearer ", "token "} {
		if v, ok := strings.CutPrefix(a, scheme); ok {
			return v
		}
	}
	if v := r.URL.Query().Get("access_token"); v != "" {
		return v
	}
	return a
}

// asApp says whether the request has a token that the App signed, as GitHub checks
// it: RS256, issued in the past, ending within ten minutes.
func (g *GitHub) asApp(r *http.Request) error {
	parts := strings.Split(credential(r), ".")
	if len(parts) != 3 {
		return fmt.Errorf("a JSON web token could not be decoded")
	}
	var raw [3][]byte
	for i, p := range parts {
		b, err := base64.RawURLEncoding.DecodeString(p)
		if err != nil {
			return err
		}
		raw[i] = b
	}
	var head struct{ Alg string }
	var claims struct {
		Iss      string
		Iat, Exp int64
	}
	if json.Unmarshal(raw[0], &head) != nil || json.Unmarshal(raw[1], &claims) != nil || head.Alg != "RS256" {
		return fmt.Errorf("a JSON web token could not be decoded")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(g.public, crypto.SHA256, sum[:], raw[2]); err != nil {
		return fmt.Errorf("a JSON web token could not be decoded")
	}
	now := g.now().Unix()
	switch {
	case claims.Iss != strconv.FormatInt(g.App, 10):
		return fmt.Errorf("integration not found")
	case claims.Iat > now:
		return fmt.Errorf("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case claims.Exp <= now:
		return fmt.Errorf("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case claims.Exp > now+600:
		return fmt.Errorf("'Expiration time' claim ('exp') is too far in the future")
	}
	return nil
}

func complainJSON(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]any{"message": message, "documentation_url": "https://docs.github.com/rest"})
}
