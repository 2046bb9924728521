package e2e

import (
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// TestParametersAreRecorded asks for URLs that hold what JSON writers like to
// escape. What is given arrives as it was written; what is not is refused, and
// both are in the log with the whole URL.
func TestParametersAreRecorded(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		api, grants := shop(t)
		h := ambittest.NewHome(t, uid)
		h.Grants(t, grants)
		c := h.Ambit("run", "--", "sh", "-c", `
curl -sS 'https://api.example.org/items/one?a=1&b=2&c=3'
curl -sS 'https://api.example.org/other?a=1&b=2'`)
		c.Env = append(c.Env, "SHOP_TOKEN="+api.Token.Value)
		r := ambittest.Finish(t, c)
		want(t, r, 0)
		has(t, "the answers", r.Stdout, `"name":"first"`, `"code":"denied"`, `"record":"r`)
		if seen := api.Find("GET", "/items/one"); len(seen) != 1 || seen[0].URL != "/items/one?a=1&b=2&c=3" {
			t.Errorf("the service saw %+v", seen)
		}
		gets := logged(t, h, "http.get")
		if len(gets) != 2 || gets[0].Outcome != "performed" || gets[1].Verdict != "deny" || gets[1].Outcome != "refused" {
			t.Errorf("the log has %+v", gets)
		}
		text := h.Do(t, "log", "--json").Stdout
		for _, url := range []string{"items/one?a=1&b=2&c=3", "other?a=1&b=2"} {
			if !strings.Contains(text, url) && !strings.Contains(text, strings.ReplaceAll(url, "&", `\u0026`)) {
				t.Errorf("the log lacks %s:\n%s", url, text)
			}
		}
		if t.Failed() {
			t.Log(r)
		}
		verified(t, h, api.Token)
	})
}
