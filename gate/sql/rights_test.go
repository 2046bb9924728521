package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/internal/ambittest"
	"ambit/pipeline"
)

// elevations count how often a right was given, and what had been asked by then.
type elevations struct {
	s     *shop
	mu    sync.Mutex
	at    []int
	live  int
	fails bool
}

func (e *elevations) Lendable(context.Context, string, string) (string, error) { return "", nil }

func (e *elevations) Elevate(context.Context, ambit.RecordID) error {
	e.s.mu.Lock()
	asked := len(e.s.asked)
	e.s.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.at = append(e.at, asked); e.fails && len(e.at) == 2 {
		return errors.New("cannot connect to 10.1.2.3 as chief")
	}
	e.live++
	e.s.pg.Query(e.s.t, "shop", "GRANT SELECT, DELETE ON orders TO ambit_task")
	return nil
}

func (e *elevations) Lower(context.Context, ambit.RecordID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.live--; e.live == 0 {
		e.s.pg.Query(e.s.t, "shop", "REVOKE ALL ON orders FROM ambit_task")
	}
	return nil
}

func (e *elevations) seen() (at []int, live int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.at), e.live
}

// TestRightsForTheMoment: what a person approved has its right in the database while it
// runs, whichever way it is sent, and not while they think about its other parts.
func TestRightsForTheMoment(t *testing.T) {
	e := &elevations{}
	s := newShop(t, ambittest.PostgresConfig{}, func(c *Config) { c.Elevator = e })
	e.s = s
	s.pg.Query(t, "shop", "REVOKE ALL ON orders FROM ambit_task")
	s.allow(func(a *ambit.Action) ambit.Verdict {
		if a.Resource.Kind == "table" {
			return ambit.Ask
		}
		return ambit.Allow
	})
	s.answer = func(pipeline.Question) (pipeline.Answer, error) {
		if _, live := e.seen(); live > 0 {
			t.Error("a right was there while a person was asked")
		}
		return pipeline.Answer{Approved: true, By: "ann"}, nil
	}
	end := &pgproto3.Sync{}
	w := s.raw()
	w.plays(t,
		says("TDCZI", queryOf("SELECT note FROM orders WHERE id = 1")),
		says("1ZI", parseOf("r", "SELECT note FROM orders WHERE id = $1"), end),
		says("2DCZI", bindOf("", "r", "2"), executeOf(""), end),
		says("CZI", queryOf("DELETE FROM orders WHERE id = 3")))
	w.plays(t, says("TDCZI", queryOf("SELECT 1"))) // by then all rights are taken back
	if at, live := e.seen(); live != 0 || len(at) != 4 || at[2] != at[3] {
		t.Errorf("rights were given after %v questions, %d are left", at, live)
	}
	e.mu.Lock()
	e.at, e.fails = nil, true
	e.mu.Unlock()
	w.plays(t, says("EZI 42501", queryOf("DELETE FROM orders WHERE id = 4")), says("TDCZI", queryOf("SELECT 1")))
	s.mu.Lock()
	log := fmt.Sprint(s.ends)
	s.mu.Unlock()
	if strings.Contains(w.got.String(), "chief") || !strings.Contains(log, "chief") {
		t.Errorf("the cause is for the log, and not for the agent: %s", log)
	}
	if _, live := e.seen(); live != 0 {
		t.Errorf("one right was not to be had: %d rights are left", live)
	}
	if n := s.pg.Query(t, "shop", "SELECT count(*) FROM orders WHERE id IN (3, 4)"); n != "1" {
		t.Errorf("%s rows are left", n)
	}
}
