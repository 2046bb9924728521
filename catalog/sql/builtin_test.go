package sql

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ambit/internal/ambittest"
)

var update = flag.Bool("update", false, "write the generated files anew")

// builtinQueries ask a server for what builtin.txt lists, one line each.
var builtinQueries = []struct{ name, query string }{
	// Functions that no overload of which is volatile, or takes or gives what only
	// the server's own code can make.
	{"function", `SELECT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY proname
		HAVING bool_and(provolatile <> 'v' AND prokind IN ('f', 'a', 'w'))
		AND NOT bool_or(proargtypes::oid[] && ARRAY['internal', 'cstring']::regtype[]::oid[] OR
			prorettype = ANY (ARRAY['internal', 'trigger', 'event_trigger', 'language_handler', 'fdw_handler', 'index_am_handler', 'table_am_handler', 'tsm_handler']::regtype[]))`},
	// The others that can be called with one argument.
	{"other", `SELECT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY proname
		HAVING NOT bool_and(provolatile <> 'v') AND bool_or(pronargs - pronargdefaults <= 1 AND pronargs > 0)`},
	{"operator", `SELECT oprname FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode WHERE oprnamespace = 'pg_catalog'::regnamespace
		GROUP BY oprname HAVING bool_and(provolatile <> 'v')`},
	{"type", `SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm') AND typelem = 0 OR
		typnamespace = 'pg_catalog'::regnamespace AND typname IN ('name', 'point', 'lseg', 'box', 'line', 'int2vector', 'oidvector')`},
	{"relation", `SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')`},
}

// TestBuiltin keeps data/builtin.txt what a real server of the version that
// Debian 12 has says of its own functions, operators, types and relations.
func TestBuiltin(t *testing.T) {
	p := ambittest.NewPostgres(t, ambittest.PostgresConfig{Version: ambittest.Stable})
	if version := p.Query(t, "postgres", "SHOW server_version_num"); !strings.HasPrefix(version, "15") {
		t.Skipf("the list was made with PostgreSQL 15, this is %s", version)
	}
	var b strings.Builder
	for _, q := range builtinQueries {
		names := p.Query(t, "postgres", "SELECT string_agg(n, ' ' ORDER BY n COLLATE \"C\") FROM ("+q.query+") AS q(n)")
		b.WriteString(q.name + " " + names + "\n")
	}
	if *update {
		if err := os.WriteFile("data/builtin.txt", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(strings.Fields(b.String()), strings.Fields(builtinText)); d != "" {
		t.Errorf("data/builtin.txt (-want +got):\n%s", d)
	}
}

// TestBuiltinOfNewerServers: what the list calls harmless is harmless on a newer server
// too, where a function may have gained an overload that writes, and a relation become
// something that runs when it is read.
func TestBuiltinOfNewerServers(t *testing.T) {
	p := ambittest.NewPostgres(t, ambittest.PostgresConfig{Version: ambittest.Newest})
	for kind, query := range map[string]string{
		"function": "SELECT proname FROM pg_proc WHERE provolatile = 'v' OR prokind = 'p'",
		"operator": "SELECT oprname FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode WHERE provolatile = 'v'",
		"relation": "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind NOT IN ('r', 'v')",
	} {
		harmful := strings.Fields(p.Query(t, "postgres", "SELECT string_agg(DISTINCT n, ' ') FROM ("+query+") AS q(n)"))
		listed := builtinNames(kind)
		if len(listed) < 50 {
			t.Errorf("only %d names of %ss are listed", len(listed), kind)
		}
		for _, n := range harmful {
			if slices.Contains(listed, n) {
				t.Errorf("%s %s is not harmless on a newer server", kind, n)
			}
		}
	}
}

// builtinNames are those of a kind in data/builtin.txt.
func builtinNames(kind string) []string {
	for line := range strings.Lines(builtinText) {
		if k, names, _ := strings.Cut(line, " "); k == kind {
			return strings.Fields(names)
		}
	}
	return nil
}
