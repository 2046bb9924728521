package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
	ok := true
	for _, mode := range []string{"simple", "prepared"} {
		var got [2][2]transactions
		for i, clients := range []int{1, 16} {
			if got[0][i], err = b.pgbench(false, port, mode, clients, seconds); err != nil {
				return false, err
			}
			if got[1][i], err = b.pgbench(true, port, mode, clients, seconds); err != nil {
				return false, err
			}
		}
		for i, name := range []string{"direct", "ambit"} {
			fmt.Printf("      %-9s %-8s at 1 client %8.0f/s, p50 %7.3f ms   at 16 clients %8.0f/s, p50 %7.3f ms\n", mode, name,
				got[i][0].rate, ms(got[i][0].p50), got[i][1].rate, ms(got[i][1].p50))
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
	var attr *syscall.SysProcAttr
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, err
	}
	if u, err := user.Lookup("postgres"); os.Getuid() == 0 && err == nil {
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		if err := os.Chown(dir, uid, gid); err != nil {
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
func (b *bench) pgbench(inside bool, port int, mode string, clients, seconds int) (t transactions, err error) {
	logs := b.path("work/log")
	script := fmt.Sprintf(`$(ls -d /usr/lib/postgresql/*/bin/pgbench | tail -1) -n -S -M %s -c %d -j 1 -T %d -l --log-prefix=%s bank`, mode, clients, seconds, "/tmp/bench")
	if inside {
		script = "export PGHOST=bank.ambit PGPORT=" + strconv.Itoa(port) + " PGUSER=me PGSSLMODE=disable; (" + script + "); cat /tmp/bench.* >log"
	} else {
		script = "(" + script + "); cat /tmp/bench.* >log; rm /tmp/bench.*"
	}
	c := b.command("sh", "-c", script)
	if inside {
		c = b.command(b.ambit, "run", "--grants", b.path("work/bank.yaml"), "--", "sh", "-c", script)
		c.Env = append(c.Env, fmt.Sprintf("BANK_ADMIN_URL=postgres://postgres:bench-secret@127.0.0.1:%d/bank", port))
	} else {
		c.Env = append(c.Env, direct(port)...)
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
