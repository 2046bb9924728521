package sql

import (
	"slices"
	"strings"
	"testing"
)

// needsOf are those of a statement, or why it cannot be lent them.
func needsOf(t *testing.T, text string) string {
	t.Helper()
	list, err := shared().Parse(text)
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %d statements, %v", text, len(list), err)
	}
	if list[0].Beyond != "" {
		return "no: " + list[0].Beyond
	}
	var all []string
	for _, a := range list[0].Accesses {
		for _, n := range a.Needs {
			s := n.Right + " " + n.Kind + " " + strings.TrimPrefix(n.Schema+"."+n.Name, ".")
			if s = strings.TrimSuffix(s, " "); !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// TestNeeds: what a statement is lent when a person approves it is what it needs, and
// what cannot be lent is said before anybody is asked.
func TestNeeds(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT note FROM orders":                  "",
		"DELETE FROM orders":                       "",
		"TRUNCATE a":                               "",
		"TRUNCATE a RESTART IDENTITY":              "owner relation public.a",
		"TRUNCATE a, s.b CASCADE":                  "owner relation public.a, owner relation s.b",
		"DROP TABLE a, s.b":                        "owner relation public.a, owner relation s.b",
		`DROP INDEX "Odd"`:                         "owner relation public.Odd",
		"DROP FUNCTION s.f(int)":                   "owner routine s.f",
		"DROP TYPE mood":                           "owner type public.mood",
		"DROP SCHEMA old CASCADE":                  "owner schema old",
		"DROP TRIGGER t ON s.a":                    "owner relation s.a",
		"ALTER TABLE a DROP COLUMN x":              "owner relation public.a",
		"ALTER TABLE a ADD COLUMN x int DEFAULT 1": "add schema public, owner relation public.a",
		"ALTER TABLE a ATTACH PARTITION s.p FOR VALUES FROM (1) TO (2)": "owner relation public.a, owner relation s.p",
		"ALTER TABLE a RENAME TO b":                                     "add schema public, owner relation public.a",
		"ALTER TABLE a RENAME COLUMN b TO c":                            "owner relation public.a",
		"ALTER TABLE a SET SCHEMA s":                                    "add schema s, owner relation public.a",
		"ALTER FUNCTION f() RENAME TO g":                                "add schema public, owner routine public.f",
		"CREATE INDEX ON s.a (lower(note))":                             "add schema s, owner relation s.a",
		"COMMENT ON COLUMN s.a.x IS 'y'":                                "owner relation s.a",
		"COMMENT ON TABLE a IS 'y'":                                     "owner relation public.a",
		"CREATE TABLE s.a (x int)":                                      "create schema s",
		"CREATE TABLE a (x bigserial PRIMARY KEY)":                      "create schema public",
		"ALTER TABLE a ADD COLUMN x serial":                             "add schema public, owner relation public.a",
		"ALTER TABLE a ADD COLUMN x public.serial":                      "no: it needs an owner's rights and runs code that would have them: it cannot be undone, has the type public.serial",
		"CREATE TABLE a AS SELECT note FROM orders":                     "create schema public",
		"SELECT note INTO a FROM orders":                                "create schema public",
		"CREATE TABLE p PARTITION OF a FOR VALUES IN (1)":               "create schema public, owner relation public.a",
		"CREATE VIEW v AS SELECT 1":                                     "plant schema public",
		"CREATE OR REPLACE VIEW v AS SELECT 1":                          "owner relation public.v, plant schema public",
		"CREATE MATERIALIZED VIEW m AS SELECT 1":                        "plant schema public",
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'":    "plant schema public",
		"CREATE SCHEMA s":                                               "create database",
		"CREATE TRIGGER t BEFORE INSERT ON a EXECUTE FUNCTION s.f()":    "execute routine s.f, trigger relation public.a",
		"GRANT SELECT ON a TO x":                                        "owner relation public.a",
		"VACUUM FULL a, s.b":                                            "maintain relation public.a, maintain relation s.b",
		"ANALYZE a (x)":                                                 "maintain relation public.a",
		"REINDEX TABLE a":                                               "maintain relation public.a",
		"CLUSTER a USING i":                                             "maintain relation public.a",
		"REFRESH MATERIALIZED VIEW CONCURRENTLY m":                      "maintain relation public.m",
		"SELECT f(), s.g(1)":                                            "execute routine f, execute routine s.g",
		"CALL s.p(f())":                                                 "execute routine f, execute routine s.p",
		"EXPLAIN ANALYZE SELECT f()":                                    "execute routine f",
		"EXPLAIN SELECT f()":                                            "execute routine f",
		"EXPLAIN ANALYZE CREATE TABLE a AS SELECT 1":                    "create schema public",
		"SELECT nextval('s')":                                           "execute routine nextval, usage relation public.s",
		`SELECT setval('b."Odd ""s"""'::regclass, 7)`:                   `execute routine setval, update relation b.Odd "s"`,
		"INSERT INTO a VALUES (nextval('B.S'), f())":                    "execute routine f, execute routine nextval, usage relation b.s",
		"DO 'BEGIN END'":                                                "",
		"NOTIFY x":                                                      "",
		"LOCK TABLE a":                                                  "",
		"CREATE TEMP TABLE a (x int)":                                   "",
		"SELECT nextval($1)":                                            "no: the sequence is not named by a constant",
		"SELECT nextval('a b')":                                         "no: the sequence is not named by a constant",
		"ALTER TABLE a ADD COLUMN x int DEFAULT evil()":                 "no: it needs an owner's rights and runs code that would have them: it cannot be undone, calls evil",
		"ALTER TABLE a ALTER x TYPE text USING s.evil(x)":               "no: it needs an owner's rights and runs code that would have them: it cannot be undone, calls s.evil",
		"ALTER TABLE a ADD CHECK (a.evil)":                              "no: it needs an owner's rights, and a name with a dot in it could be a call; name columns without their table",
		"ALTER TABLE a ADD COLUMN x careful DEFAULT '1'":                "no: it needs an owner's rights and runs code that would have them: it cannot be undone, has the type careful",
		"ALTER TABLE a ALTER x SET DEFAULT 1 === 2":                     "no: it needs an owner's rights and runs code that would have them: it cannot be undone, uses the operator ===",
		"CREATE INDEX ON a (evil(x))":                                   "no: it needs an owner's rights and runs code that would have them: it makes an index, calls evil",
		"CREATE TABLE p PARTITION OF a FOR VALUES IN (e())":             "no: it needs an owner's rights and runs code that would have them: it is a Create, calls e",
		"ALTER TABLE a OWNER TO x":                                      "no: it gives the table to another owner, for which two roles' rights are needed",
		"ALTER TABLE a SET TABLESPACE x":                                "no: " + forAdministrators,
		"ALTER SYSTEM SET fsync = off":                                  "no: " + forAdministrators,
		"CREATE EXTENSION dblink":                                       "no: " + forAdministrators,
		"CREATE ROLE x":                                                 "no: " + forAdministrators,
		"GRANT a TO b":                                                  "no: " + forAdministrators,
		"GRANT SELECT ON ALL TABLES IN SCHEMA s TO b":                   "no: " + forAdministrators,
		"DROP OWNED BY x":                                               "no: " + forAdministrators,
		"LOAD 'x'":                                                      "no: " + forAdministrators,
		"CHECKPOINT":                                                    "no: " + forAdministrators,
		"VACUUM":                                                        "no: " + withoutNames,
		"REINDEX DATABASE shop":                                         "no: " + withoutNames,
		"COPY a TO PROGRAM 'cat'":                                       "no: files and programs of the server are an administrator's",
		"DROP TABLE pg_catalog.pg_class":                                "no: " + ofTheServers,
		"VACUUM pg_class":                                               "no: " + ofTheServers,
		"CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'x'":             "no: " + forAdministrators,
	} {
		if got := needsOf(t, text); got != want {
			t.Errorf("%s\n needs %q\n  want %q", text, got, want)
		}
	}
}

// TestSequenceNames: a regclass is read as the server reads it, or not at all.
func TestSequenceNames(t *testing.T) {
	for text, want := range map[string]ref{
		"s": {"public", "s"}, "S": {"public", "s"}, `"S"`: {"public", "S"}, "a.b": {"a", "b"}, `"a.b"`: {"public", "a.b"}, `"a""b".c`: {`a"b`, "c"},
		"": {}, "a.b.c": {}, " s": {}, "s ": {}, `"s`: {}, `""`: {}, "a..b": {}, "a.": {}, "ä": {}, "1s": {}, "pg_catalog.x": {}, "-": {}, "4711": {},
	} {
		got, ok := sequenceName(text)
		if ok != (want.table != "") || ok && got != want {
			t.Errorf("%q is %v, %v", text, got, ok)
		}
	}
}
