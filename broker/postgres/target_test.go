package postgres

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

func TestURL(t *testing.T) {
	const secret = "s3cr3t-pw"
	for text, want := range map[string]string{
		"postgres://u:" + secret + "@db/shop":                                        "db db:5432 shop verify",
		"postgresql://u:" + secret + "@db:99/shop?sslmode=disable":                   "db db:99 shop plain",
		"postgres://u:" + secret + "@db/shop?sslmode=require":                        "db db:5432 shop hidden",
		"postgres://u:" + secret + "@127.0.0.1/shop":                                 "127.0.0.1 127.0.0.1:5432 shop plain",
		"postgres://u:" + secret + "@localhost/shop?sslmode=verify-full":             "localhost localhost:5432 shop verify",
		"postgres://u:" + secret + "@[::1]:7/a%20b":                                  "::1 [::1]:7 a b plain",
		"postgres://u:" + secret + "@db/shop ADDRESS=10.0.0.1:6000":                  "10.0.0.1 10.0.0.1:6000 shop verify",
		"postgres://u:" + secret + "@db/shop ADDRESS=10.0.0.1:6000 HOST=x.y TLS=off": "x.y 10.0.0.1:6000 shop plain",
		"postgres://u:" + secret + "@db/shop ADDRESS=10.0.0.1:6000 HOST=localhost":   "localhost 10.0.0.1:6000 shop verify",
		"postgres://u:" + secret + "@db/shop ADDRESS=127.0.0.1:6000 HOST=x.y":        "x.y 127.0.0.1:6000 shop plain",
		"postgres://u:" + secret + "@db/shop?sslmode=disable TLS=on DATABASE=d":      "db db:5432 d verify",
		"postgres://u:" + secret + "@127.0.0.1/shop TLS=on":                          "127.0.0.1 127.0.0.1:5432 shop verify",
		"postgres://u:" + secret + "@db/shop?sslmode=verify-full TLS=off":            "error",
		"postgres://u:" + secret + "@db/shop?sslmode=prefer":                         "error",
		"postgres://u:" + secret + "@db/shop?sslmode=verify-full&host=/run":          "error",
		"postgres://u:" + secret + "@db/shop?sslrootcert=/etc/x":                     "error",
		"postgres://u:" + secret + "@db:0/shop":                                      "error",
		"postgres://u:" + secret + "@db":                                             "error",
		"postgres:///shop":                                                           "error",
		"mysql://u:" + secret + "@db/shop":                                           "error",
		"postgres://" + secret + "\x7f@db/shop":                                      "error",
		"host=db,password=" + secret:                                                 "error",
		"postgres://u:" + secret + "@db/shop TLS=maybe":                              "error",
		"postgres://u:" + secret + "@db/shop CA=rubbish":                             "error",
		"postgres://u:%00" + secret + "@db/shop":                                     "error",
		"":                                                                           "error",
	} {
		words := strings.Split(text, " ")
		c := Config{Admin: []byte(words[0])}
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			map[string]func(){"ADDRESS": func() { c.Address = v }, "HOST": func() { c.Host = v }, "TLS": func() { c.TLS = v }, "DATABASE": func() { c.Database = v }, "CA": func() { c.CA = []byte(v) }}[k]()
		}
		l, err := c.parse()
		got := "error"
		if err == nil {
			mode := "plain"
			if l.TLS != nil && l.TLS.InsecureSkipVerify {
				mode = "hidden"
			} else if l.TLS != nil {
				mode = "verify"
			}
			got = fmt.Sprintf("%s %s %s %s", l.Host, l.Dial, l.Database, mode)
		}
		if got != want || err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}

// The certificate of a database that is reached over a network is checked.
func TestTLS(t *testing.T) {
	ca, other := ambittest.NewCA(t), ambittest.NewCA(t)
	pg := ambittest.NewPostgres(t, ambittest.PostgresConfig{CA: ca, Names: []string{"db.internal"}})
	w := worldOn(t, pg, "shop")
	for name, c := range map[string]struct {
		host string
		ca   *ambittest.CA
		ok   bool
	}{
		"right":         {"db.internal", ca, true},
		"another name":  {"db2.internal", ca, false},
		"another's":     {"db.internal", other, false},
		"system's only": {"db.internal", nil, false},
	} {
		cfg := w.config(readOrders)
		cfg.Address, cfg.Host, cfg.TLS = fmt.Sprintf("127.0.0.1:%d", pg.Port), c.host, "on"
		if c.ca != nil {
			pem, err := os.ReadFile(c.ca.File)
			if err != nil {
				t.Fatal(err)
			}
			cfg.CA = pem
		}
		p, err := w.servers.Provider(cfg)
		if err != nil {
			t.Fatal(err)
		}
		usable, err := p.Prove(t.Context(), rowOf("1"))
		if (err == nil) != c.ok || usable {
			t.Errorf("%s: %v, %v", name, usable, err)
		}
		p.Close()
		if !c.ok { // it cannot be tidied up
			p.server.all.mu.Lock()
			delete(p.server.all.open, p.server.key)
			p.server.linger.Stop()
			p.server.all.mu.Unlock()
		}
	}
}

// A provider shows no secret, and a recipe makes the same one again.
func TestRecipe(t *testing.T) {
	servers := &Servers{}
	c := Config{Admin: []byte("postgres://u:s3cr3t-pw@127.0.0.1:1/shop"), Rights: []Right{readOrders}, ReadOnly: true}
	p, err := servers.Provider(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{p, p.OnceAgain()} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "s3cr3t") || !strings.Contains(got, "shop") {
				t.Errorf("%s shows %q", verb, got)
			}
		}
	}
	recipe, err := p.Recipe()
	if err != nil {
		t.Fatal(err)
	}
	again, err := servers.FromRecipe(recipe)
	if err != nil || again.server != p.server {
		t.Errorf("made again: %v", err)
	}
	other, err := again.Recipe()
	if err != nil || string(other) != string(recipe) || !json.Valid(recipe) {
		t.Errorf("its recipe is another one: %v", err)
	}
	for _, bad := range []string{"", "{}", "null", `{"admin":"eA=="}`} {
		if _, err := servers.FromRecipe([]byte(bad)); err == nil {
			t.Errorf("%q made a provider", bad)
		}
	}
	for range 2 {
		p.Close()
	}
	if strings.Contains(string(c.Admin), "s3cr3t") {
		t.Error("the URL is not wiped")
	}
	if got := again.server.users; got != 1 {
		t.Errorf("%d users", got)
	}
	again.Close()
	again.server.linger.Stop()
}
