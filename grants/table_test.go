package grants

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ambit"
)

// shop is a file with a database.
const shop = `agent: a
services:
  shop: {kind: postgres, address: "db.internal:5433", database: shop, ca: ca.pem, credential: {env: SHOP_ADMIN_URL}}
`

// sqlAction is an action on a table or, with one name, on the database.
func sqlAction(op string, e ambit.Effect, columns string, names ...string) *ambit.Action {
	a := &ambit.Action{Agent: "a", Service: "shop", Operation: "sql." + op, Effect: e, Resource: ambit.Resource{Kind: "table", Segments: names}}
	if len(names) == 1 {
		a.Resource.Kind = "database"
	}
	if columns != "-" {
		a.Args = map[string]string{ArgColumns: columns}
	}
	return a
}

func TestRights(t *testing.T) {
	g := mustLoad(t, shop+`read:
  - shop: [public.orders, "public.customers(id, city)", "audit.*"]
    except: [audit.secrets]
write:
  - shop: [public.notes, audit.secrets]
    operations: [insert, select]
    except: audit.*
    because: b
ask:
  - shop: public.orders
    operations: [update, delete]
    because: b
  - shop: shop
    because: b
`)
	want := []TableRight{
		{Section: SectionRead, Schema: "audit", Table: "*", Except: []string{"secrets"}, Operations: []string{"sql.select"}},
		{Section: SectionRead, Schema: "public", Table: "customers", Columns: []string{"city", "id"}, Operations: []string{"sql.select"}},
		{Section: SectionRead, Schema: "public", Table: "orders", Operations: []string{"sql.select"}},
		{Section: SectionWrite, Schema: "public", Table: "notes", Operations: []string{"sql.insert", "sql.select"}},
		{Section: SectionAsk, Schema: "public", Table: "orders", Operations: []string{"sql.delete", "sql.update"}},
	}
	if d := cmp.Diff(want, g.Rights("shop")); d != "" {
		t.Error(d)
	}
	if r := g.Rights("files"); r != nil {
		t.Errorf("files has rights on tables: %v", r)
	}
}

func TestTableVerdicts(t *testing.T) {
	g := mustLoad(t, shop+`read:
  - shop: [public.orders, "public.customers(id, city)", 'public."Big Table"', "audit.*"]
    except: [audit.secrets]
write:
  - shop: "public.notes(text)"
    because: b
ask:
  - shop: public.orders
    operations: [update]
    because: b
`)
	const read, write, ends = ambit.Read, ambit.Write, ambit.Irreversible
	for _, c := range []struct {
		a    *ambit.Action
		want ambit.Verdict
	}{
		{sqlAction("select", read, "*", "public", "orders"), ambit.Allow},
		{sqlAction("select", read, "-", "public", "orders"), ambit.Allow},
		{sqlAction("select", read, "id,total", "public", "orders"), ambit.Allow},
		{sqlAction("select", read, "city", "public", "customers"), ambit.Allow},
		{sqlAction("select", read, "city,id", "public", "customers"), ambit.Allow},
		{sqlAction("select", read, "", "public", "customers"), ambit.Allow},
		{sqlAction("select", read, "id,city", "public", "customers"), ambit.Deny}, // not in order: nobody of ours wrote it
		{sqlAction("select", read, "city,email,id", "public", "customers"), ambit.Deny},
		{sqlAction("select", read, "*", "public", "customers"), ambit.Deny},
		{sqlAction("select", read, "-", "public", "customers"), ambit.Deny},
		{sqlAction("select", read, "*", "public", "Big Table"), ambit.Allow},
		{sqlAction("select", read, "*", "public", "big table"), ambit.Deny},
		{sqlAction("select", read, "*", "audit", "log"), ambit.Allow},
		{sqlAction("select", read, "*", "audit", "secrets"), ambit.Deny},
		{sqlAction("select", read, "*", "private", "orders"), ambit.Deny},
		{sqlAction("select", read, "*", "pg_catalog", "pg_class"), ambit.Allow},
		{sqlAction("select", read, "*", "information_schema", "tables"), ambit.Allow},
		{sqlAction("update", write, "*", "pg_catalog", "pg_class"), ambit.Deny},
		{sqlAction("show", read, "-", "shop"), ambit.Allow},
		{sqlAction("do", ends, "-", "shop"), ambit.Deny},
		{sqlAction("insert", write, "text", "public", "notes"), ambit.Allow},
		{sqlAction("insert", write, "id,text", "public", "notes"), ambit.Deny},
		{sqlAction("update", write, "total", "public", "orders"), ambit.Ask},
		{sqlAction("update", ends, "total", "public", "orders"), ambit.Ask},
		{sqlAction("delete", ends, "*", "public", "orders"), ambit.Deny},
		{sqlAction("insert", ends, "text", "public", "notes"), ambit.Deny},
		{sqlAction("select", 0, "*", "public", "orders"), ambit.Deny},
	} {
		d := g.Decide(c.a)
		if d.Verdict != c.want {
			t.Errorf("%s %v(%v) %v: %v, want %v", c.a.Operation, c.a.Resource, c.a.Args, c.a.Effect, d.Verdict, c.want)
		}
		e := g.Explain(c.a, Facts{})
		if (len(e.Lines) > 0) != (d.Verdict != ambit.Deny) {
			t.Errorf("%s %v(%v): the index says %v, the lines say %v", c.a.Operation, c.a.Resource, c.a.Args, d.Verdict, e.Lines)
		}
		if n := testing.AllocsPerRun(20, func() { g.Decide(c.a) }); n > 0 {
			t.Errorf("deciding %s %v allocates %v times", c.a.Operation, c.a.Resource, n)
		}
	}
	if g := mustLoad(t, shop); g.Decide(sqlAction("select", read, "*", "pg_catalog", "pg_class")).Verdict != ambit.Deny {
		t.Error("the catalog is given without a line")
	}
}

func TestTablePatterns(t *testing.T) {
	for text, want := range map[string]string{
		"public.orders":                 "public.orders",
		`"public"."orders"`:             "public.orders",
		"public.*":                      "public.*",
		"shop":                          "shop",
		`public."Big ""T"""`:            `public."Big ""T"""`,
		"public.t(b, a)":                "public.t(a, b)",
		`public.t("A b",c)`:             `public.t("A b", c)`,
		"public.t()":                    "public.t()",
		"öffentlich.größe":              "öffentlich.größe",
		"Public.orders":                 "! has capital letters: PostgreSQL reads Public as public; write that, or \"Public\" in double quotes when the name really has them",
		"orders":                        "! is neither schema.table nor the database's own name, which is shop",
		"*":                             "! has a name that must stand in double quotes, or none",
		"*.orders":                      "! has a name that must stand in double quotes, or none",
		"public.ord*":                   "! is not schema.table or schema.table(column, column)",
		"public.a.b":                    "! is not schema.table or schema.table(column, column)",
		`public."a*"`:                   "! has a name that ends with *: it would be read as a wildcard",
		`public."a`:                     "! has a double quote that does not end",
		`public."."`:                    "! has a name that cannot be used",
		"public.t(a,a)":                 "! names the column a twice",
		"public.t(a b)":                 "! has no comma between two columns",
		"public.t(a,)":                  "! has a comma after its last column",
		`public.t("a,b")`:               "! has a column whose name holds a comma, a star or a quote, which a line cannot name",
		"public.t(a":                    "! is not schema.table or schema.table(column, column)",
		"public." + long(64):            "! has a name that is longer than PostgreSQL keeps",
		"":                              "! has a name that must stand in double quotes, or none",
		"public.":                       "! has a name that must stand in double quotes, or none",
		"public.t; DROP TABLE t":        "! is not schema.table or schema.table(column, column)",
		"public.t(a) WHERE true OR (b)": "! has no comma between two columns",
	} {
		p, why := parseTable(text, "shop")
		got := p.String()
		if why != "" {
			got = "! " + why
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if why == "" {
			if again, _ := parseTable(got, "shop"); !cmp.Equal(p, again, cmp.AllowUnexported(pattern{})) {
				t.Errorf("%s is read again as %v", got, again)
			}
		}
	}
}

func long(n int) string { return strings.Repeat("a", n) }

func TestColumnsArg(t *testing.T) {
	for _, c := range []struct {
		columns []string
		all     bool
		want    string
	}{
		{nil, false, ""}, {nil, true, "*"}, {[]string{"b", "a", "b"}, false, "a,b"}, {[]string{"a"}, true, "*"},
		{[]string{"a,b"}, false, "*"}, {[]string{"*"}, false, "*"}, {[]string{""}, false, "*"},
	} {
		if got := ColumnsArg(c.columns, c.all); got != c.want {
			t.Errorf("%q %v: %q, want %q", c.columns, c.all, got, c.want)
		}
	}
}

// FuzzTablePattern: what a pattern prints is read again as the same, and nothing panics.
func FuzzTablePattern(f *testing.F) {
	for _, s := range []string{"public.orders", `a."b ""c"(d, "E")`, "x.*", "shop", `"`, "a.b(", "ä.ö()"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, why := parseTable(s, "shop")
		if why != "" {
			return
		}
		again, why := parseTable(p.String(), "shop")
		if why != "" || !cmp.Equal(p, again, cmp.AllowUnexported(pattern{})) {
			t.Fatalf("%q is written as %q and read as %v %s", s, p.String(), again, why)
		}
	})
}

func TestDatabaseServices(t *testing.T) {
	g := mustLoad(t, shop+"read: [{shop: public.orders}]\n")
	s, _ := g.Service("shop")
	if got := []any{values(s.Hosts), s.Port, s.TLS.Value, s.Dialled()}; !cmp.Equal(got, []any{[]string{"db.internal", "shop.ambit"}, 5433, "on", "db.internal:5433"}) {
		t.Errorf("%v", got)
	}
	for src, want := range map[string]string{
		"{kind: postgres, database: d, credential: {env: U}}":                                      "has no address",
		"{kind: postgres, address: 'h:1', credential: {env: U}}":                                   "does not say which database",
		"{kind: postgres, address: 'h:1', database: d}":                                            "has no credential",
		"{kind: postgres, address: 'h:1', database: d, credential: {jwt: x}}":                      "takes no token",
		"{kind: postgres, address: 'h:1', database: d, credential: {env: U}, scheme: https}":       "has no scheme",
		"{kind: postgres, address: 'h:1', database: d, credential: {env: U}, inject: {basic: x}}":  "has no inject",
		"{kind: postgres, address: 'h:1', database: d, credential: {env: U}, tls: maybe}":          "on or off",
		"{kind: postgres, address: 'h:1', database: d, credential: {env: U}, tls: off, ca: x.pem}": "tls is off",
		"{kind: http, host: h, database: d}":                                                       "has no database",
		"{kind: http, host: h, tls: on}":                                                           "has no tls",
		"{kind: postgres, address: 'h:1', database: '', credential: {env: U}}":                     "database",
	} {
		if got := loadError(t, "agent: a\nservices: {s: "+src+"}\n"); !strings.Contains(got, want) {
			t.Errorf("%s:\n%s\nwant %s", src, got, want)
		}
	}
	for src, want := range map[string]string{
		"read: [{shop: 'public.t(a)', except: 'public.t(b)'}]\n":                       "takes out tables, not columns",
		"read: [{shop: 'public.t()'}]\n":                                               "names no column",
		"ask: [{shop: 'public.t(a)', operations: [delete], because: b}]\n":             "whole rows",
		"write: [{shop: public.t, operations: [delete], because: b}]\n":                "cannot be undone",
		"read: [{shop: public.t, operations: [insert]}]\n":                             "changes things",
		"read: [{shop: other}]\n":                                                      "neither schema.table",
		"read: [{shop: public.t}]\nexpect: [{allow: shop select public.u}]\n":          "expected allow",
		"read: [{shop: 'public.t(a)'}]\nexpect: [{allow: shop select public.t}]\n":     "expected allow",
		"read: [{shop: 'public.t(a)'}]\nexpect: [{deny: 'shop select public.t(a)'}]\n": "expected deny",
		"read: [{shop: public.t}]\nexpect: [{allow: shop select public.*}]\n":          "wildcard",
	} {
		if got := loadError(t, shop+src); !strings.Contains(got, want) {
			t.Errorf("%s:\n%s\nwant %s", src, got, want)
		}
	}
	local := mustLoad(t, strings.NewReplacer("db.internal:5433", "127.0.0.1:5433", "ca: ca.pem, ", "").Replace(shop))
	if s, _ := local.Service("shop"); s.TLS.Value != "off" || values(s.Hosts)[0] != "127.0.0.1" {
		t.Errorf("on this machine: %+v", s)
	}
}
