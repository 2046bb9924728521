package main

import (
	"strings"
	"testing"

	"ambit/console"
	"ambit/store/row"
)

// TestTasksAreShown: only of a task whose command never ran it is said that it did not.
func TestTasksAreShown(t *testing.T) {
	for want, k := range map[string]console.Task{
		"ended not run":  {State: "ended", Status: row.NoExit, Unstarted: true, Why: "it was never started: interrupt"},
		"ended unknown":  {State: "ended", Status: row.NoExit},
		"ended unknown ": {State: "ended", Status: row.NoExit, Why: "the task that started it has ended"},
		"ended 3":        {State: "ended", Status: 3},
		"revoked - ":     {State: "revoked", Status: row.NoExit, Why: "enough"},
	} {
		k.ID, k.Agent, k.OnBehalfOf, k.Command = "t", "worker", "ada", []string{"make"}
		var b strings.Builder
		if err := printTasks(&b, []console.Task{k}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(b.String()), " "); !strings.Contains(got, " worker "+strings.TrimSpace(want)+" ada ") {
			t.Errorf("it lacks %q: %s", want, got)
		}
	}
}
