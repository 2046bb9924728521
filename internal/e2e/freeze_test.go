package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"ambit/internal/ambittest"
)

// TestApprovalsAreOneTasksAndEnd: what a person approved for one task does not run in
// another, which does the same, nor in its own when it comes too late. The rows tell.
func TestApprovalsAreOneTasksAndEnd(t *testing.T) {
	slow(t)
	t.Parallel()
	const life = 20 * time.Second
	d := newShopDatabase(t)
	h := ambittest.NewHome(t, ambittest.Users()[len(ambittest.Users())-1])
	h.Compiled(t)
	h.Grants(t, d.grants()+`ask:
  - shop: public.orders
    operations: [update]
    because: a wrong row may need correcting
`)
	h.Setting(t, "hold: 200ms\nquestion-expiry: "+life.String()+"\n")
	h.File(t, "fix.sh", psql+`at="host=shop.ambit port=`+strconv.Itoa(d.Port)+` dbname=shop user=me"
u() { $psql -XAt "$at" -c 'UPDATE orders SET total = 1 WHERE id = 7' 2>&1 || true; }
u; echo asked
while [ ! -e "$1" ]; do sleep 0.05; done
u; echo ended
`)
	launch := func(signal string) *running {
		c := h.Ambit("run", "--", "sh", "fix.sh", signal)
		c.Env = append(c.Env, d.env())
		r := start(t, c)
		r.says(t, "asked")
		return r
	}
	total := func(want, when string) {
		t.Helper()
		if got := d.Query(t, "shop", "SELECT total FROM orders WHERE id = 7"); got != want {
			t.Errorf("%s the total is %s, want %s", when, got, want)
		}
	}
	ends := func(r *running, signal string, updates bool) {
		t.Helper()
		h.File(t, signal, "")
		got := r.wait(t)
		want(t, got, 0)
		if strings.Contains(got.Stdout, "UPDATE 1") != updates {
			t.Errorf("updates=%v:\n%s", updates, got.Stdout)
		}
	}

	late := launch("late")
	q := asked(t, h)
	want(t, h.Do(t, "approve", q.Ticket, "--digest", q.Digest), 0)
	over := time.Now().Add(life)

	other := launch("other") // its first attempt opens a question of its own
	own := asked(t, h)
	want(t, h.Do(t, "deny", own.Ticket), 0)
	ends(other, "other", false)
	total("70", "after another task tried")

	time.Sleep(time.Until(over) + time.Second) // the approval's own end
	ends(late, "late", false)
	total("70", "after the approval was over")

	soon := launch("soon")
	q = asked(t, h)
	want(t, h.Do(t, "approve", q.Ticket, "--digest", q.Digest), 0)
	ends(soon, "soon", true)
	total("1", "in time")
	verified(t, h, d.Password)
}
