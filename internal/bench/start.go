package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"time"
)

// contender is a way to run `true` inside a sandbox.
type contender struct {
	name string
	argv []string
	ours bool
	took []time.Duration
	err  error
}

const startGrants = `agent: bench
purpose: start and end
expires: 1h
read:
  - files: ["."]
`

// quiet is longer than the daemon waits until it does what makes starts faster.
const quiet = 5 * time.Second

// start measures `true` with all controls on against bwrap, in turn; and then all in
// turn, where each start comes after those of large programs.
func (b *bench) start(n int) (bool, error) {
	if err := os.WriteFile(b.path("work/start.yaml"), []byte(startGrants), 0o600); err != nil {
		return false, err
	}
	all := b.contenders()
	fmt.Printf("\nstart of true, %d times each, after a daemon that was quiet for %v once; in turn with bwrap\n", n, quiet)
	b.inTurn(n, all[:2])
	good := line("start against bwrap, median", table(all[:2]), 3, "times", true)
	fmt.Println("      in turn with all of them")
	b.inTurn(n, all)
	table(all)
	return good, nil
}

// inTurn starts each of them n times; the first rounds warm the caches and start the
// daemon, and do not count.
func (b *bench) inTurn(n int, all []*contender) {
	for _, c := range all {
		c.took = nil
	}
	for i := range n + 3 {
		if i == 3 {
			time.Sleep(quiet)
		}
		for _, c := range all {
			if c.err == nil {
				c.once(b, i >= 3)
			}
		}
	}
}

// table prints the medians and returns Ambit's against the first one's; without it, a
// figure that no aim allows.
func table(all []*contender) (times float64) {
	base := median(all[0].took)
	times = math.Inf(1)
	for _, c := range all {
		if c.err != nil {
			fmt.Printf("      %-20s not measured: %v\n", c.name, c.err)
			continue
		}
		m := median(c.took)
		fmt.Printf("      %-20s %8.2f ms  %5.2f times bwrap\n", c.name, ms(m), float64(m)/float64(base))
		if c.ours && base > 0 {
			times = float64(m) / float64(base)
		}
	}
	return times
}

func (b *bench) contenders() []*contender {
	all := []*contender{
		{name: "bwrap", argv: []string{"bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"}},
		{name: "ambit", argv: []string{b.ambit, "run", "--grants", b.path("work/start.yaml"), "--", "true"}, ours: true},
	}
	for _, p := range []*contender{
		{name: "firejail", argv: []string{"firejail", "--quiet", "--noprofile", "--net=none", "--private", "true"}},
		{name: "runsc", argv: []string{"runsc", "--network=none", "--rootless", "do", "true"}},
		{name: "codex sandbox", argv: []string{"bin/agents/node_modules/.bin/codex", "sandbox", "true"}},
		{name: "srt", argv: []string{"bin/agents/node_modules/.bin/srt", "true"}},
	} {
		path, err := exec.LookPath(p.argv[0])
		if err != nil {
			fmt.Printf("      %-20s not installed\n", p.name)
			continue
		}
		if path[0] != '/' {
			wd, _ := os.Getwd()
			path = wd + "/" + path
		}
		p.argv[0] = path
		all = append(all, p)
	}
	return all
}

func (c *contender) once(b *bench, count bool) {
	cmd := b.command(c.argv[0], c.argv[1:]...)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(begin)
	if err != nil {
		c.err = fmt.Errorf("%w: %.300s", err, out)
		return
	}
	if count {
		c.took = append(c.took, took)
	}
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
