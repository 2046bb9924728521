package catalog

import (
	"strings"
	"testing"

	"ambit"
)

// TestEffectsAreTheListedOnes: an operation of a service has the effect that it is listed
// with, whatever its request looks like: what could do more is another operation. Files
// are compared by that (a method of HTTP alone may be worse than listed).
func TestEffectsAreTheListedOnes(t *testing.T) {
	for name, data := range tables() {
		listed := make(map[string]ambit.Effect)
		for _, o := range Operations(name) {
			listed[o.Name] = o.Effect
		}
		host := Hosts(name)[0]
		for line := range strings.Lines(data) {
			f := strings.Fields(line)
			if len(f) == 0 || f[0] == "#" || f[0] == "graphql" {
				continue
			}
			path := strings.NewReplacer("{", "x", "...}", "", "}", "").Replace(f[1])
			for _, c := range []struct {
				kind, body string
				cut        bool
				slash      string
			}{
				{"application/json", `{"force":true,"branch":"a"}`, false, ""}, {"application/json", `{}`, false, "/"}, {"", `{}`, false, ""}, {"application/json", strings.Repeat("x", 64), true, ""},
				{"application/x-www-form-urlencoded", strings.Repeat("x", maxForm), true, ""}, {"multipart/form-data; boundary=b", strings.Repeat("x", maxForm), true, ""},
			} {
				r := req(t, name, f[0], "https://"+host+path+c.slash, "Content-Type", c.kind)
				r.Body, r.BodyWhole = []byte(c.body), !c.cut
				calls, err := Classify(r)
				if err != nil {
					continue
				}
				for _, call := range calls {
					if want, ok := listed[call.Operation]; !strings.HasPrefix(call.Operation, "http.") && (!ok || want != call.Effect) {
						t.Errorf("%s %s as %q: %s %s, which is listed as %s", f[0], path, c.kind, call.Operation, call.Effect, want)
					}
				}
			}
		}
	}
}
