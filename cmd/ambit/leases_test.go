package main

import (
	"strings"
	"testing"
	"time"

	"ambit/console"
)

// TestLeasesAreShown: of a lease that cannot be ended people see why, and of one that
// was written off who answers for what; neither shows as dead, nor can its text play
// tricks.
func TestLeasesAreShown(t *testing.T) {
	now := time.Now()
	var b strings.Builder
	err := printLeases(&b, []console.Lease{
		{ID: "aa", Agent: "clerk", Service: "shop", Provider: "postgres", State: "revoking", Tries: 3, Since: now, Next: now, Trouble: "no such host"},
		{ID: "bb", Agent: "clerk", Service: "shop", Provider: "postgres", State: "written-off", Ended: now, By: "ada", Because: "it was deleted\x1b[2J", Remains: "the role ambit_bb"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"aa cannot be ended since", "3 attempts", "no such host", "bb was written off by ada at", "it was deleted‹U+001B›", "what may remain: the role ambit_bb"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "dead") || strings.Contains(b.String(), "\x1b") {
		t.Errorf("shown:\n%s", b.String())
	}
}
