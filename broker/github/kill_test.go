package github

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestKilledAtEachStep kills the daemon at each request of a lease's life, before it
// arrives or when GitHub has done what it asks for. The next daemon never calls dead
// what GitHub still takes: it revokes what it can know of, and of the rest it waits for
// the hour's end.
func TestKilledAtEachStep(t *testing.T) {
	const all = 5 // the installation, the token, its end and the look at that; and none of them
	for n := 1; n <= all; n++ {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprint(n, late), func(t *testing.T) {
				w := newWorld(t)
				p, o := w.provider(nil), order(1)
				var mu sync.Mutex
				did, lost := 0, ""
				w.Fault(func(_ http.ResponseWriter, r *http.Request) bool {
					mu.Lock()
					defer mu.Unlock()
					if did++; did < n {
						return false
					}
					if did == n && late && r.Method == "POST" {
						lost = w.Issue(p.c.Repositories, map[string]string{"contents": "read"})
					}
					panic(http.ErrAbortHandler)
				})
				c, minted := p.Mint(t.Context(), o)
				if minted == nil {
					if p.Revoke(t.Context(), leaseOf(o, c.Handle)) == nil {
						if usable, err := p.Prove(t.Context(), leaseOf(o, c.Handle)); err == nil && n <= 4 {
							t.Errorf("stopped at %d: Prove = %v", n, usable)
						}
					}
				}
				q := w.again(p)
				p.Close() // all that it knew is gone
				w.Fault(nil)
				l := leaseOf(o, c.Handle)
				if err := q.Revoke(t.Context(), l); err != nil {
					t.Errorf("Revoke: %v", err)
				}
				usable, err := q.Prove(t.Context(), l)
				if left := w.Live(); !usable && (err != nil || len(left) > 0) {
					t.Errorf("called dead: %v, and GitHub takes %v", err, left)
				}
				if usable && (err == nil || minted == nil) {
					t.Errorf("Prove = true, %v, although the lease's handle is known: %v", err, minted == nil)
				}
				w.Clock(tokenLife + lifeMargin)
				q.c.Now = func() time.Time { return time.Now().Add(tokenLife + lifeMargin) }
				if usable, err := q.Prove(t.Context(), l); usable || err != nil || lost != "" && w.Accepts(lost) {
					t.Errorf("after the hour: %v, %v, GitHub takes it: %v", usable, err, w.Accepts(lost))
				}
			})
		}
	}
}
