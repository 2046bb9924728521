package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"

	"ambit/internal/ambittest"
)

// TestOwnIdentity lets a service take the task's own identity: it verifies the
// token with the bundle that `ambit trust` prints. The agent never holds it.
func TestOwnIdentity(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		var mu sync.Mutex
		var tokens []string
		ca := ambittest.NewCA(t)
		s := ambittest.ServeTLS(t, ca, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			tokens = append(tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			fmt.Fprintln(w, "you sent", r.Header.Get("Authorization"))
		}), "vault.example.org")
		h := ambittest.NewHome(t, uid)
		h.Grants(t, head+"services:\n"+service("vault", "http", "vault.example.org", s,
			`, credential: {jwt: "https://vault.example.org"}, inject: {header: Authorization, format: "Bearer {}"}`)+"read:\n  - files: [\".\"]\n  - vault: /whoami\n")
		r := h.Do(t, "run", "--", "sh", "-c", "curl -sS https://vault.example.org/whoami https://vault.example.org/whoami; env; ambit whoami --json")
		want(t, r, 0)
		domain, err := spiffeid.TrustDomainFromString("ambit.local")
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := spiffebundle.Parse(domain, []byte(h.Do(t, "trust").Stdout))
		if err != nil {
			t.Fatal(err)
		}
		if len(tokens) != 2 {
			t.Fatalf("the service was called %d times\n%s", len(tokens), r)
		}
		for _, tok := range tokens {
			svid, err := jwtsvid.ParseAndValidate(tok, bundle, []string{"https://vault.example.org"})
			if err != nil {
				t.Fatalf("%v: %q\n%s", err, tok, r)
			}
			if !strings.Contains(r.Stdout, svid.ID.String()) {
				t.Errorf("the token speaks for %s, not for this task", svid.ID)
			}
			if strings.Contains(r.Stdout, tok) {
				t.Error("the agent saw the token")
			}
			if _, err := jwtsvid.ParseAndValidate(tok, bundle, []string{"https://other.example.org"}); err == nil {
				t.Error("the token is good elsewhere, too")
			}
		}
		verified(t, h)
	})
}
