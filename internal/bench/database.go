package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const databaseGrants = `agent: bench
purpose: read balances
expires: 1h
services:
  bank: {kind: postgres, address: "127.0.0.1:%d", database: bank, credential: {env: BANK_ADMIN_URL}}
read:
  - files: ["."]
  - bank: [public.pgbench_accounts, public.pgbench_branches]
write:
  - files: ["."]
    because: the measurements are written there
`

// transactions is what pgbench measured.
type transactions struct {
	rate float64 // a second
	p50  time.Duration
}

// way is how pgbench reaches the server.
type way struct {
	name   string
	inside bool // as an agent, through the gate
	port   int
}

// ways are the server itself, Ambit, and two that decide and record nothing, to show
// what any process in between costs on this machine: one that only copies bytes, and
// pgbouncer where it is installed.
func (b *bench) ways(port int) ([]way, error) {
	copies, err := b.copier(port)
	if err != nil {
		return nil, err
	}
	all := []way{{"direct", false, port}, {"ambit", true, port}, {"a copier", false, copies}}
	bouncer, err := b.bouncer(port)
	if err != nil {
		fmt.Println("      without pgbouncer:", err)
		return all, nil
	}
	return append(all, way{"pgbouncer", false, bouncer}), nil
}

// database measures pgbench's selects through the gate with durable records, against
// the same server without it.
func (b *bench) database(seconds int) (bool, error) {
	port, err := b.postgres()
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(b.path("work/bank.yaml"), fmt.Appendf(nil, databaseGrants, port), 0o600); err != nil {
		return false, err
	}
	fmt.Printf("\npgbench -S, %d s each\n", seconds)
	ways, err := b.ways(port)
	if err != nil {
		return false, err
	}
	ok := true
	for _, mode := range []string{"simple", "prepared"} {
		got := make([][2]transactions, len(ways))
		for i, clients := range []int{1, 16} {
			for w := range ways {
				if got[w][i], err = b.pgbench(ways[w], mode, clients, seconds); err != nil {
					return false, err
				}
			}
		}
		for w := range ways {
			added := got[w][0].p50 - got[0][0].p50
			fmt.Printf("      %-9s %-9s at 1 client %8.0f/s, p50 %7.3f ms (+%.3f)   at 16 clients %8.0f/s = %3.0f %%\n", mode, ways[w].name,
				got[w][0].rate, ms(got[w][0].p50), ms(added), got[w][1].rate, 100*got[w][1].rate/got[0][1].rate)
		}
		ok = line("p50 added to one client, "+mode, ms(got[1][0].p50-got[0][0].p50), 0.3, "ms", true) && ok
		ok = line("rate against direct, 16 clients, "+mode, 100*got[1][1].rate/got[0][1].rate, 85, "%", false) && ok
	}
	return ok, nil
}

// postgres starts a server with pgbench's tables and returns its port.
func (b *bench) postgres() (int, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return 0, fmt.Errorf("PostgreSQL is not installed: run ./check setup")
	}
	bin := found[len(found)-1]
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	dir, pw := b.path("pg"), b.path("pgpass")
	if err := os.WriteFile(pw, []byte("bench-secret"), 0o644); err != nil {
		return 0, err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return 0, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, err
	}
	attr := unprivileged()
	if attr != nil {
		if err := os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
			return 0, err
		}
	}
	run := func(args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, args[0]), args[1:]...)
		c.Dir, c.SysProcAttr = "/", attr
		return c
	}
	if out, err := run("initdb", "-D", dir, "-U", "postgres", "--pwfile", pw, "-A", "scram-sha-256", "-E", "UTF8", "--locale", "C.UTF-8", "-N").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("initdb: %w: %.500s", err, out)
	}
	server := run("postgres", "-D", dir, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "shared_buffers=256MB")
	if err := b.background(server, port); err != nil {
		return 0, err
	}
	for range 300 { // it accepts before it serves
		if run("pg_isready", "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(port)).Run() == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, args := range [][]string{
		{filepath.Join(bin, "psql"), "-qc", "CREATE DATABASE bank"},
		{filepath.Join(bin, "pgbench"), "-qi", "-s", "5", "bank"},
	} {
		c := exec.Command(args[0], args[1:]...)
		c.Env = append(os.Environ(), direct(port)...)
		if out, err := c.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%s: %w: %.500s", args[0], err, out)
		}
	}
	return port, nil
}

func direct(port int) []string {
	return []string{"PGHOST=127.0.0.1", "PGPORT=" + strconv.Itoa(port), "PGUSER=postgres", "PGPASSWORD=bench-secret", "PGSSLMODE=disable"}
}

var tpsLine = regexp.MustCompile(`tps = ([0-9.]+) \(without`)

// pgbench runs it beside the server, or as an agent behind the gate.
func (b *bench) pgbench(w way, mode string, clients, seconds int) (t transactions, err error) {
	logs := b.path("work/log")
	script := fmt.Sprintf(`$(ls -d /usr/lib/postgresql/*/bin/pgbench | tail -1) -n -S -M %s -c %d -j 1 -T %d -l --log-prefix=%s bank`, mode, clients, seconds, "/tmp/bench")
	if w.inside {
		script = "export PGHOST=bank.ambit PGPORT=" + strconv.Itoa(w.port) + " PGUSER=me PGSSLMODE=disable; (" + script + "); cat /tmp/bench.* >log"
	} else {
		script = "(" + script + "); cat /tmp/bench.* >log; rm /tmp/bench.*"
	}
	c := b.command("sh", "-c", script)
	if w.inside {
		c = b.command(b.ambit, "run", "--grants", b.path("work/bank.yaml"), "--", "sh", "-c", script)
		c.Env = append(c.Env, fmt.Sprintf("BANK_ADMIN_URL=postgres://postgres:bench-secret@127.0.0.1:%d/bank", w.port))
	} else {
		c.Env = append(c.Env, direct(w.port)...)
	}
	out, err := c.CombinedOutput()
	m := tpsLine.FindSubmatch(out)
	if err != nil || m == nil || strings.Contains(string(out), "aborted") {
		return t, fmt.Errorf("pgbench: %v: %.800s", err, out)
	}
	t.rate, _ = strconv.ParseFloat(string(m[1]), 64)
	t.p50, err = logged(logs)
	return t, err
}

// logged is the median pgbench's log: the third field of a line is how long a transaction
// took, in microseconds.
func logged(name string) (time.Duration, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var all []int
	for s := bufio.NewScanner(f); s.Scan(); {
		if fields := strings.Fields(s.Text()); len(fields) > 2 {
			n, err := strconv.Atoi(fields[2])
			if err != nil {
				return 0, err
			}
			all = append(all, n)
		}
	}
	if len(all) == 0 {
		return 0, fmt.Errorf("pgbench logged nothing")
	}
	slices.Sort(all)
	return time.Duration(all[len(all)/2]) * time.Microsecond, nil
}
