package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"ambit/internal/ambittest"
)

// TestAgentsHomeBegins: a profile's file is there at the first start, is the
// agent's own from then on, comes back when it was removed, and never leads a
// write outside.
func TestAgentsHomeBegins(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		// Without a credential: nothing here asks the model.
		grants := "uses: [claude]\n" + head + "services: {anthropic: {kind: anthropic}}\n" + files
		h.Grants(t, grants)
		in := func(script string) string {
			t.Helper()
			r := h.Do(t, "run", "--", "sh", "-c", script)
			want(t, r, 0)
			return r.Stdout
		}
		begun := in("cat ~/.claude.json; stat -c %a ~/.claude.json")
		has(t, "the first start", begun, "customApiKeyResponses", "\n600\n")
		in("echo mine >~/.claude.json")
		if got := in("cat ~/.claude.json"); got != "mine\n" {
			t.Errorf("what the agent wrote became %q", got)
		}
		in("rm ~/.claude.json")
		if got := in("cat ~/.claude.json; stat -c %a ~/.claude.json"); got != begun {
			t.Errorf("after it was removed: %q", got)
		}

		planted := filepath.Join(h.User, "planted")
		in("ln -sf " + planted + " ~/.claude.json")
		in("true")
		if _, err := os.Lstat(planted); !os.IsNotExist(err) {
			t.Errorf("a link in the agent's home led to %s: %v", planted, err)
		}

		h.Grants(t, grants+"sandbox: {home: throw-away}\n")
		for range 2 {
			if got := in("cat ~/.claude.json; stat -c %a ~/.claude.json; echo more >>~/.claude.json"); got != begun {
				t.Errorf("a home that is thrown away begins with %q", got)
			}
		}
	})
}
