// Command bench measures Ambit beside its peers, in turn, in one run, and
// prints ratios. Figures without a peer in the same run say little: machines
// differ.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	only := flag.String("only", "", "one of start, web, database, core")
	n := flag.Int("n", 40, "starts of each program")
	seconds := flag.Int("seconds", 8, "length of each load")
	flag.Parse()
	b, err := newBench()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot measure:", err)
		os.Exit(1)
	}
	defer b.close()
	ok := true
	run := func(name string, f func() (bool, error)) {
		if *only != "" && *only != name {
			return
		}
		good, err := f()
		if err != nil {
			fmt.Fprintf(os.Stderr, "cannot measure %s: %v\n", name, err)
		}
		ok = ok && good && err == nil
	}
	run("start", func() (bool, error) { return b.start(*n) })
	run("web", func() (bool, error) { return b.web(*seconds) })
	run("database", func() (bool, error) { return b.database(*seconds) })
	run("core", b.core)
	if !ok {
		b.close()
		os.Exit(1)
	}
}

// line prints one figure against its aim and says whether it was met.
func line(what string, got, aim float64, unit string, atMost bool) bool {
	good := got <= aim
	word := "at most"
	if !atMost {
		good, word = got >= aim, "at least"
	}
	mark := "ok  "
	if !good {
		mark = "MISS"
	}
	fmt.Printf("%s  %-52s %10.2f %s (aim: %s %.4g)\n", mark, what, got, unit, word, aim)
	return good
}
