package arrows

import (
	"slices"
	"testing"
)

// early are the packages of Ambit that the sandbox's stage consists of, and
// earlyLibraries what they may import of the standard library: only packages that
// are initialised before all the others, or need no initialisation, and whose own
// imports are such.
//
// Go initialises packages in the order of their import paths, as far as their own
// imports are ready. An import of os, fmt, strings, bytes, unicode or
// golang.org/x/sys/unix would put the start of a sandbox behind the initialisation
// of half the program, twice for each task: in the gatekeeper and in init.
var (
	early          = []string{"sandbox/stage", "sandbox/warden", "sandbox/kernel", "sandbox/plan"}
	earlyLibraries = []string{"cmp", "errors", "iter", "math/bits", "path", "runtime", "slices", "strconv", "sync", "sync/atomic",
		"syscall", "time", "unicode/utf8", "unsafe"}
)

func TestStageIsReadyEarly(t *testing.T) {
	all, seen := sources(t), map[string]bool{}
	for next := []string{early[0]}; len(next) > 0; {
		pkg := next[0]
		next = next[1:]
		if seen[pkg] {
			continue
		}
		seen[pkg] = true
		for _, s := range all {
			if s.test || s.pkg != pkg {
				continue
			}
			for _, imp := range s.imports() {
				to, ok := module(imp)
				if ok {
					next = append(next, to)
				}
				if ok && !slices.Contains(early, to) || !ok && !slices.Contains(earlyLibraries, imp) {
					t.Errorf("%s imports %s: the sandbox's stage would wait until that is initialised", s.path, imp)
				}
			}
		}
	}
	for _, pkg := range early {
		if !seen[pkg] {
			t.Errorf("%s does not belong to the stage any more: take it off the list", pkg)
		}
	}
}
