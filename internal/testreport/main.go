// Command testreport reads `go test -json` and prints what a person wants to
// know: the failures with their output, the skips with their reasons, and the
// counts. It fails when a test failed, when nothing ran, or when a test was
// skipped that the file of expected skips does not name.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

type report struct {
	anySkip         bool
	output          map[string][]string // by package and test
	failed, skipped []string
	passed          int
	broken          []string // packages that failed without a failing test
	failedIn        map[string]bool
	allowed         map[string]bool
	out             io.Writer
}

func main() {
	anySkip := flag.Bool("any-skip", false, "accept every skip: for runs that leave things out on purpose")
	allow := flag.String("skips", "", "file that names the tests which may be skipped, one `package/Test` a line, # starts a comment")
	flag.Parse()
	r := &report{output: map[string][]string{}, failedIn: map[string]bool{}, allowed: map[string]bool{}, anySkip: *anySkip, out: os.Stdout}
	if *allow != "" {
		if err := r.readAllowed(*allow); err != nil {
			fmt.Fprintln(os.Stderr, "cannot read the expected skips:", err)
			os.Exit(2)
		}
	}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "cannot read test events:", err)
		os.Exit(2)
	}
	if !r.print() {
		os.Exit(1)
	}
}

func (r *report) readAllowed(name string) error {
	b, err := os.ReadFile(name)
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			r.allowed[line] = true
		}
	}
	return err
}

func (r *report) read(in io.Reader) error {
	s := bufio.NewScanner(in)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var e event
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			fmt.Fprintln(r.out, s.Text()) // a compiler's words, not an event
			continue
		}
		r.take(e)
	}
	return s.Err()
}

func (r *report) take(e event) {
	name := strings.TrimSuffix(e.Package+"/"+e.Test, "/")
	switch e.Action {
	case "output", "build-output":
		r.output[name] = append(r.output[name], e.Output)
	case "pass":
		if e.Test != "" {
			r.passed++
		} else {
			fmt.Fprintf(r.out, "ok    %-32s %6.1f s\n", e.Package, e.Elapsed)
		}
		delete(r.output, name)
	case "skip":
		if e.Test != "" {
			r.skipped = append(r.skipped, name)
		}
	case "fail":
		r.fail(e, name)
	}
}

func (r *report) fail(e event, name string) {
	if e.Test != "" {
		r.failed = append(r.failed, name)
		r.failedIn[e.Package] = true
		return
	}
	fmt.Fprintf(r.out, "FAIL  %-32s %6.1f s\n", e.Package, e.Elapsed)
	if !r.failedIn[e.Package] {
		r.broken = append(r.broken, name)
	}
}

func (r *report) print() bool {
	for _, n := range slices.Concat(r.failed, r.broken) {
		fmt.Fprintf(r.out, "\n--- FAIL %s\n%s", n, strings.Join(r.output[n], ""))
	}
	if len(r.broken) > 0 {
		for _, n := range slices.Sorted(maps.Keys(r.output)) {
			if strings.Contains(n, "[") || !strings.Contains(n, "/") { // build output is kept by import path
				fmt.Fprint(r.out, strings.Join(r.output[n], ""))
			}
		}
	}
	wrong := 0
	for _, n := range r.skipped {
		if r.anySkip {
			break
		}
		mark := "skip "
		if !r.allowed[n] {
			mark, wrong = "SKIP (not expected) ", wrong+1
		}
		fmt.Fprintf(r.out, "%s %s: %s\n", mark, n, reason(r.output[n]))
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, len(r.failed)+len(r.broken), len(r.skipped))
	return len(r.failed)+len(r.broken)+wrong == 0 && r.passed > 0
}

// reason is the last line that a skipped test wrote before it was skipped.
func reason(out []string) string {
	for _, l := range slices.Backward(out) {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "---") && !strings.HasPrefix(l, "===") {
			return l
		}
	}
	return "no reason given"
}
