package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const webGrants = `agent: bench
purpose: load one page
expires: 1h
services:
  bench: {kind: http, host: bench.test, address: "127.0.0.1:%d", ca: %s, credential: {env: BENCH_TOKEN}, inject: {header: Authorization, format: "Bearer {}"}}
read:
  - files: ["."]
  - bench: ["/", "/**"]
`

// load is what wrk said.
type load struct {
	rate float64 // requests a second
	p50  time.Duration
}

// web measures requests through the gate with rules, injection and durable
// records, against mitmproxy and against no proxy at all.
func (b *bench) web(seconds int) (bool, error) {
	port, err := b.nginx()
	if err != nil {
		return false, err
	}
	grants := fmt.Sprintf(webGrants, port, "cert.pem")
	if err := os.WriteFile(b.path("work/web.yaml"), []byte(grants), 0o600); err != nil {
		return false, err
	}
	fmt.Printf("\nHTTPS requests with keep-alive, %d s each\n", seconds)
	mitm, err := b.mitmproxy(port)
	if err != nil {
		return false, err
	}
	records, err := b.mitmproxyThatRecords(port)
	if err != nil {
		return false, err
	}
	const inside = 0 // as an agent
	var got [4][2]load
	for i, conns := range []int{1, 8} {
		for w, port := range []int{port, mitm, inside, records} {
			if port == inside {
				got[w][i], err = b.wrkInside(conns, seconds)
			} else {
				got[w][i], err = b.wrk(conns, seconds, fmt.Sprintf("https://127.0.0.1:%d/", port))
			}
			if err != nil {
				return false, err
			}
		}
	}
	for i, name := range []string{"direct", "mitmproxy", "ambit", "mitm records"} {
		fmt.Printf("      %-12s p50 at 1 connection %7.3f ms   at 8 connections %9.0f/s, p50 %7.3f ms\n", name,
			ms(got[i][0].p50), got[i][1].rate, ms(got[i][1].p50))
	}
	a := line("p50 added to one connection", ms(got[2][0].p50-got[0][0].p50), 0.5, "ms", true)
	c := line("throughput against mitmproxy, 8 connections", got[2][1].rate/got[1][1].rate, 10, "times", false)
	m, err := b.memory(got[2][1].rate)
	if err != nil {
		return false, err
	}
	return line("gatekeeper resident after 10,000 requests", m, 40, "MiB", true) && a && c, nil
}

func (b *bench) mitmproxy(port int, more ...string) (int, error) {
	p, err := freePort()
	if err != nil {
		return 0, err
	}
	c := exec.Command("mitmdump", append([]string{"-q", "--mode", fmt.Sprintf("reverse:https://127.0.0.1:%d", port), "-p", strconv.Itoa(p),
		"--ssl-insecure", "--set", "confdir=" + b.path("mitm"), "--set", "modify_headers=/~q/Authorization/Bearer bench-secret"}, more...)...)
	return p, b.background(c, p)
}

// mitmproxyThatRecords does what Ambit does beside it, as an addon of mitmproxy's: a
// record of each request is durable before it goes out, and one of its answer follows.
func (b *bench) mitmproxyThatRecords(port int) (int, error) {
	script := fmt.Sprintf(recorder, b.path("mitm.log"))
	if err := os.WriteFile(b.path("recorder.py"), []byte(script), 0o600); err != nil {
		return 0, err
	}
	return b.mitmproxy(port, "-s", b.path("recorder.py"))
}

const recorder = `import json, os, time
fd = os.open(%q, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
def record(kind, flow, **more):
    r = flow.request
    os.write(fd, json.dumps(dict(kind=kind, time=time.time(), method=r.method, url=r.pretty_url, **more)).encode() + b"\n")
def request(flow):
    record("intent", flow)
    os.fdatasync(fd)
def response(flow):
    record("outcome", flow, status=flow.response.status_code)
`

func (b *bench) wrk(conns, seconds int, url string) (load, error) {
	return parse(b.command("wrk", "-t1", "-c"+strconv.Itoa(conns), fmt.Sprintf("-d%ds", seconds), "--latency", url))
}

func (b *bench) wrkInside(conns, seconds int) (load, error) {
	return parse(b.command(b.ambit, "run", "--grants", b.path("work/web.yaml"), "--", "wrk", "-t1", "-c"+strconv.Itoa(conns),
		fmt.Sprintf("-d%ds", seconds), "--latency", "https://bench.test/"))
}

var (
	rateLine = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	p50Line  = regexp.MustCompile(`50%\s+([0-9.]+)(us|ms|s)`)
)

func parse(c interface{ CombinedOutput() ([]byte, error) }) (l load, err error) {
	out, err := c.CombinedOutput()
	if err != nil {
		return l, fmt.Errorf("%w: %.500s", err, out)
	}
	r, p := rateLine.FindSubmatch(out), p50Line.FindSubmatch(out)
	if r == nil || p == nil || bytes.Contains(out, []byte("Non-2xx")) {
		return l, fmt.Errorf("wrk did not measure good answers: %.500s", out)
	}
	l.rate, _ = strconv.ParseFloat(string(r[1]), 64)
	l.p50, err = time.ParseDuration(string(p[1]) + string(p[2]))
	return l, err
}

// memory is what the gatekeeper has resident, in MiB, after 10,000 requests at
// about the given rate.
func (b *bench) memory(rate float64) (float64, error) {
	seconds := 2 + int(15000/max(rate, 100))
	script := fmt.Sprintf(`wrk -t1 -c8 -d%ds https://bench.test/ >out.txt; echo done >>out.txt; read wait`, seconds)
	c := b.command(b.ambit, "run", "--grants", b.path("work/web.yaml"), "--", "sh", "-c", strings.ReplaceAll(script, "out.txt", "/tmp/out.txt")+"; cat /tmp/out.txt")
	in, err := c.StdinPipe()
	if err != nil {
		return 0, err
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		return 0, err
	}
	time.Sleep(time.Duration(seconds+3) * time.Second)
	rss, err := resident(c.Process.Pid)
	in.Write([]byte("\n"))
	in.Close()
	if werr := c.Wait(); werr != nil {
		return 0, fmt.Errorf("%w: %.500s", werr, out.String())
	}
	n := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(out.String())
	if n == nil {
		return 0, fmt.Errorf("wrk did not measure: %.500s", out.String())
	}
	if k, _ := strconv.Atoi(n[1]); k < 10000 {
		return 0, fmt.Errorf("only %s requests were made", n[1])
	}
	return rss, err
}

func resident(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		return 0, fmt.Errorf("no VmRSS in /proc/%d/status", pid)
	}
	kb, err := strconv.ParseFloat(string(m[1]), 64)
	return kb / 1024, err
}
