package grants

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ambit"
)

// store is the same database as shop by other names.
const store = `agent: b
services:
  store: {kind: postgres, host: orders.example.com, address: "db.internal:5433", database: shop, ca: ca.pem, credential: {env: SHOP_ADMIN_URL}}
`

func TestContainDatabases(t *testing.T) {
	const b = ", because: b}]\n"
	for _, c := range []containCase{
		{"the same", shop + "read: [{shop: public.orders}]\n", store + "read: [{store: public.orders}]\n", "within", ""},
		{"the schema", shop + "read: [{shop: [public.orders, 'public.t(a)']}]\n", store + "read: [{store: public.*}]\n", "within", ""},
		{"all of the schema", shop + "read: [{shop: public.*}]\n", store + "read: [{store: public.orders}]\n", "not within", "shop sql.select public.x"},
		{"fewer columns", shop + "read: [{shop: 'public.t(a)'}]\n", store + "read: [{store: 'public.t(a, b)'}]\n", "within", ""},
		{"more columns", shop + "read: [{shop: 'public.t(a, b)'}]\n", store + "read: [{store: ['public.t(a)', 'public.t(b)']}]\n", "not within", "shop sql.select public.t(a, b)"},
		{"all columns", shop + "read: [{shop: public.t}]\n", store + "read: [{store: 'public.t(a, b)'}]\n", "not within", "shop sql.select public.t"},
		{"a question about one column", shop + "write: [{shop: 'public.t(a, b)'" + b, store + "write: [{store: public.t" + b + "ask: [{store: 'public.t(a)'" + b, "not within", "shop sql.insert public.t(a)"},
		{"what columns have in common", shop + "write: [{shop: 'public.t(a, b)'" + b, store + "write: [{store: public.t" + b + "ask: [{store: 'public.t(b, c)'" + b, "not within", "shop sql.insert public.t(b)"},
		{"no column at all", shop + "write: [{shop: 'public.t(a)'" + b, store + "write: [{store: public.t" + b + "ask: [{store: 'public.t(c)'" + b, "not within", "shop sql.insert public.t()"},
		{"an exception", shop + "read: [{shop: public.*}]\n", store + "read: [{store: public.*, except: public.secrets}]\n", "not within", "shop sql.select public.secrets"},
		{"asked", shop + "write: [{shop: public.t, operations: [update]" + b, store + "ask: [{store: public.t" + b, "not within", "shop sql.update public.t"},
		{"asked by both", shop + "ask: [{shop: public.t, operations: [delete]" + b, store + "ask: [{store: public.*" + b, "within", ""},
		{"the database itself", shop + "ask: [{shop: shop" + b, store + "ask: [{store: public.*" + b, "not within", ""},
		{"the catalog", shop + "read: [{shop: public.t}]\n", store + "read: [{store: [pg_catalog.*, public.t]}]\n", "within", ""},
		{"another database", shop + "read: [{shop: public.t}]\n", strings.Replace(store, "database: shop", "database: other", 1) + "read: [{store: public.t}]\n", "not within", ""},
		{"another place", shop + "read: [{shop: public.t}]\n", strings.Replace(store, "db.internal", "db2.internal", 1) + "read: [{store: public.t}]\n", "not within", ""},
		{"without TLS", strings.Replace(shop, "ca: ca.pem", "tls: off", 1) + "read: [{shop: public.t}]\n", store + "read: [{store: public.t}]\n", "not shown", ""},
		{"another credential", strings.Replace(shop, "SHOP_ADMIN_URL", "OTHER_URL", 1) + "read: [{shop: public.t}]\n", store + "read: [{store: public.t}]\n", "not shown", ""},
	} {
		child, parent := mustLoad(t, c.child), mustLoad(t, c.parent)
		word, action, r := answer(t, child, parent)
		if word != c.want || (c.action != "" && action != c.action) {
			t.Errorf("%s: %s, %s; want %s, %s\n%+v", c.name, word, action, c.want, c.action, r)
		}
		for _, same := range []*Grants{child, parent} {
			if word, _, r := answer(t, same, same); word != "within" {
				t.Errorf("%s: a file is %s itself: %+v", c.name, word, r)
			}
		}
	}
}

// database makes small files about two tables of three columns.
func (s tiny) database() *Grants {
	for {
		var b strings.Builder
		b.WriteString(shop)
		for _, section := range []string{"read", "write", "ask"} {
			n := s.rnd.IntN(4)
			if n > 0 {
				b.WriteString(section + ":\n")
			}
			for range n {
				table := s.of("public.t", "public.u", "public.*", "s.t", "shop")
				if strings.HasSuffix(table, "t") || strings.HasSuffix(table, "u") {
					table += s.of("", "(a)", "(a, b)", "(b, c)", "(a, b, c)", "(c)")
				}
				fmt.Fprintf(&b, "  - shop: %q\n", table)
				if s.rnd.IntN(4) == 0 {
					fmt.Fprintf(&b, "    except: %s\n", s.of("public.t", "public.*", "s.t"))
				}
				if section != "read" {
					b.WriteString("    because: b\n")
				}
				if section == "write" && s.rnd.IntN(2) == 0 {
					fmt.Fprintf(&b, "    operations: %s\n", s.of("[insert]", "[update, select]"))
				}
			}
		}
		if g, err := Load("ambit.yaml", []byte(b.String()), testKinds(), noon()); err == nil {
			return g
		}
	}
}

// moreColumns is what the oracle's actions say of their columns.
func moreColumns() (out []string) {
	for i := range 16 {
		var cols []string
		for j, c := range []string{"a", "b", "c", "d"} {
			if i&(1<<j) != 0 {
				cols = append(cols, c)
			}
		}
		out = append(out, strings.Join(cols, ","))
	}
	return append(out, AllColumns)
}

// TestContainDatabaseOracle compares with every action on a few tables and columns.
func TestContainDatabaseOracle(t *testing.T) {
	words := make(map[string]int)
	for i := range 600 {
		s := tiny{rand.New(rand.NewPCG(21, uint64(i)))}
		child, parent := s.database(), s.database()
		if i%2 == 0 { // with more lines, so that it is often within
			f := *child.file
			f.Lines = append(slices.Clone(f.Lines), parent.file.Lines...)
			f.Lines = slices.DeleteFunc(f.Lines, func(l *Line) bool { return l.Section == SectionAsk && slices.Contains(parent.file.Lines, l) })
			if parent, _ = Compile(&f, testKinds(), noon()); parent == nil {
				continue
			}
		}
		word, _, _ := answer(t, child, parent)
		words[word]++
		found := escaped(child, parent)
		if (found != "") != (word == "not within") && !(found == "" && word == "not within") {
			t.Errorf("%s, but %q\nchild: %s\nparent: %s", word, found, child.file.Canonical(), parent.file.Canonical())
		}
	}
	if words["within"] < 50 || words["not within"] < 50 || words["not shown"] > 0 {
		t.Errorf("the answers are too much alike to say anything: %v", words)
	}
}

func escaped(child, parent *Grants) string {
	for _, r := range [][]string{{"public", "t"}, {"public", "u"}, {"public", "v"}, {"s", "t"}, {"pg_catalog", "pg_class"}, {"shop"}} {
		for _, d := range slices.Concat(child.deeds("shop"), unlisted(nil)) {
			for _, cols := range moreColumns() {
				a := sqlAction("", d.effect, cols, r...)
				a.Operation = d.op
				if x, y := child.Decide(a).Verdict, parent.Decide(a).Verdict; x > y {
					return fmt.Sprintf("%s %v %v(%s): %v, %v", d.op, d.effect, r, cols, x, y)
				}
			}
		}
	}
	return ""
}

func TestExplainStatements(t *testing.T) {
	k := testKinds()
	k.Statements = func(database, sql string) ([]TableCall, error) {
		if sql != "SELECT id FROM orders; --x" || database != "shop" {
			return nil, errors.New("not the statement: " + sql)
		}
		return []TableCall{{Call{"sql.select", ambit.Read, ambit.Resource{Kind: "table", Segments: []string{"public", "orders"}}}, "id"}}, nil
	}
	g, err := Load("ambit.yaml", []byte(shop+"read: [{shop: 'public.orders(id)'}]\nexpect: [{allow: 'shop sql SELECT id FROM orders; --x'}]\n"), k, noon())
	if err != nil {
		t.Fatal(err)
	}
	es, err := g.ExplainText("shop sql SELECT id FROM orders; --x", Facts{})
	if err != nil || len(es) != 1 || es[0].Decision.Verdict != ambit.Allow || !strings.HasPrefix(es[0].String(), `allow  sql.select "public.orders(id)"`) {
		t.Errorf("%v %v", es, err)
	}
	if _, err := g.ParseAction("shop sql DROP"); err == nil {
		t.Error("a statement that cannot be read is an action")
	}
}

func TestDatabaseTexts(t *testing.T) {
	g := mustLoad(t, shop+`read:
  - shop: [public.orders, "public.customers(id, city)"]
write:
  - shop: public.notes
    because: notes are kept
ask:
  - shop: public.orders
    operations: [update, delete]
    because: a row may be wrong
`)
	golden(t, "explain/database.txt", g.Plain())
	var b strings.Builder
	for _, a := range []*ambit.Action{
		sqlAction("select", ambit.Read, "email,id", "public", "customers"),
		sqlAction("select", ambit.Read, "*", "public", "Users"),
		sqlAction("update", ambit.Irreversible, "total", "public", "orders"),
		sqlAction("update", ambit.Write, "total", "public", "customers"),
		sqlAction("drop", ambit.Irreversible, "*", "public", "orders"),
		sqlAction("do", ambit.Irreversible, "-", "shop"),
	} {
		b.WriteString(g.Explain(a, Facts{}).String())
		if text, ok := g.ActionText(a); ok {
			b.WriteString("  as        " + text + "\n")
		}
	}
	golden(t, "explain/database-actions.txt", b.String())
}

func TestLintDatabases(t *testing.T) {
	rules := func(src string) (out []string) {
		for _, f := range Lint(mustLoad(t, src), Machine{}) {
			out = append(out, f.Rule)
		}
		return out
	}
	plain := strings.Replace(shop, "ca: ca.pem", "tls: off", 1)
	for src, want := range map[string]string{
		shop + "read: [{shop: public.orders}]\n":                                                        "",
		plain + "read: [{shop: public.orders}]\n":                                                       "plain-database",
		strings.Replace(plain, "db.internal", "127.0.0.1", 1) + "read: [{shop: public.orders}]\n":       "",
		shop + "read: [{shop: public.*}]\n":                                                             "tenant-wide",
		shop + "read: [{shop: public.t}]\nwrite: [{shop: public.u, at-most: 5 per hour, because: b}]\n": "",
		shop + "read: [{shop: public.t}]\nwrite: [{shop: public.u, because: b}]\n":                      "unbounded",
		shop + "read: [{shop: public.t}, {web: x.example.org}]\n":                                       "slow-way-out",
		shop + "read: [{shop: [public.t, 'public.t(a)']}]\n":                                            "never-matches",
		shop + "read: [{shop: ['public.t(b)', 'public.t(a)']}]\n":                                       "",
		shop: "unused-service",
	} {
		if got := strings.Join(rules(src), " "); got != want {
			t.Errorf("%s\n%s, want %s", src, got, want)
		}
	}
}

func BenchmarkDecideTable(b *testing.B) {
	var src strings.Builder
	src.WriteString(shop + "read:\n")
	for i := range 1000 {
		fmt.Fprintf(&src, "  - shop: 'public.t%d(a, b, c, d, e)'\n", i)
	}
	g := mustLoad(b, src.String())
	a := sqlAction("select", ambit.Read, "a,c,e", "public", "t500")
	b.ReportAllocs()
	for b.Loop() {
		if g.Decide(a).Verdict != ambit.Allow {
			b.Fatal("denied")
		}
	}
}
