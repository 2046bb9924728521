package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ambit/internal/ambittest"
)

// TestCredentialOfACommand uses a credential that a command prints, a password
// manager say, for an agent that may write its workspace; a command in the
// workspace itself, which the agent could change, is refused.
func TestCredentialOfACommand(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		api := ambittest.NewAPI(t, ambittest.NewCA(t), "api.example.org")
		api.Put("one", `{"name":"first"}`)
		h := ambittest.NewHome(t, uid)
		vault := filepath.Join(h.User, "vault")
		if err := os.WriteFile(vault, []byte("#!/bin/sh\necho "+api.Token.Value+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		h.Own(t)
		for _, c := range []struct {
			argv string
			code int
		}{
			{fmt.Sprintf("[%q, show, shop]", vault), 0},
			{fmt.Sprintf("[/bin/sh, %q]", h.File(t, "vault", "echo stolen\n")), 125},
		} {
			h.Grants(t, head+"services:\n"+service("shop", "http", "api.example.org", api.Server, ", credential: {command: "+c.argv+"}, env: [SHOP_TOKEN]")+
				"read:\n  - shop: /items/one\n"+files[len("read:\n"):])
			r := h.Do(t, "run", "--", "curl", "-sS", "https://api.example.org/items/one")
			want(t, r, c.code)
			if c.code == 0 {
				has(t, "the agent's output", r.Stdout, "first")
			} else {
				has(t, "the complaint", r.Stderr, "the agent can write")
			}
		}
		verified(t, h, api.Token)
	})
}
