package main

import (
	"strings"
	"testing"
	"time"

	"ambit/console"
)

// TestClosedQuestions: a question that is over says which way.
func TestClosedQuestions(t *testing.T) {
	now := time.Now()
	at := now.Add(-time.Minute)
	for want, q := range map[string]console.Question{
		"":                             {State: "open", Expires: now.Add(time.Second)},
		"expired at ":                  {State: "open", Expires: now},
		"nobody answered in time":      {State: "expired", Answered: at},
		"the task is over":             {State: "expired", Answered: at, Why: "the task is over"},
		"approved by ada and not used": {State: "expired", Answered: at, By: "ada"},
		"approved already, by ada":     {State: "approved", Answered: at, By: "ada"},
		"approved by ada and used at ": {State: "spent", Answered: at, Spent: at, By: "ada"},
		"denied already, by ada at ":   {State: "denied", Answered: at, By: "ada"},
		": not on a Friday":            {State: "denied", Answered: at, By: "ada", Why: "not on a Friday"},
		"its state is ":                {},
	} {
		got := q.Closed(now)
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%+v: %q, want %q", q, got, want)
		}
		if want != "" && !strings.Contains(screen(q), got) {
			t.Errorf("shown without it: %s", screen(q))
		}
	}
}
