package sql

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"ambit"
	"ambit/catalog/sql"
	"ambit/pipeline"
)

// argNeeds is the argument with what an action needs in the database beside the right on
// rows that its operation says. An approval binds it with the rest.
const argNeeds = "needs"

// NotLent is the error of an [Elevator] for what cannot be given, in words for the agent.
type NotLent struct{ Why string }

// Error is the reason.
func (e *NotLent) Error() string { return "cannot give a right: " + e.Why }

func needsText(needs []sql.Need) string {
	b, err := json.Marshal(needs)
	if err != nil { // names are texts
		return "[]"
	}
	return string(b)
}

func needsOf(a ambit.Action) (needs []sql.Need) {
	if text := a.Args[argNeeds]; text != "" && json.Unmarshal([]byte(text), &needs) != nil {
		return nil
	}
	return needs
}

// ownsAny says whether an action needs the rights of an owner.
func ownsAny(a ambit.Action) bool { return slices.ContainsFunc(needsOf(a), sql.Need.Owns) }

// widens says whether an action needs a right that can be given at all: what has none,
// such as NOTIFY, runs with what the task has.
func widens(a ambit.Action) bool {
	if a.Args[argNeeds] != "" {
		return true
	}
	switch a.Operation {
	case "sql.select", "sql.insert", "sql.update", "sql.delete", "sql.truncate", "sql.lock", "sql.references":
		return a.Resource.Kind == "table"
	}
	return false
}

// lent notes what an access that a person is asked about needs, and refuses what cannot
// be given to it: nobody is asked in vain.
func (r *run) lent(st *sql.Statement, a sql.Access) *refusal {
	if st.Beyond != "" {
		return notLent(st.Beyond)
	}
	for _, n := range a.Needs {
		if n.Owns() && len(r.list) > 1 {
			// What stands beside it, and what waits for the end of the transaction that they
			// share, would have the owner's rights too.
			return &refusal{code: CodeNotLent, state: stateRefused, why: "a person cannot be asked about it beside other statements: it needs " + n.String() + ", and runs alone with them",
				instead: "Send it as a message of its own."}
		}
		if !slices.Contains(r.needs, n) {
			r.needs = append(r.needs, n)
		}
	}
	return nil
}

// unlendable is lent again, of what a person has approved although no question was
// foreseen: a limit was used up since, or a window closed.
func (r *run) unlendable() *refusal {
	for _, p := range r.approved {
		a := p.Action()
		i := slices.IndexFunc(r.list, func(st sql.Statement) bool { return st.Text == a.Args["statement"] })
		if i < 0 {
			return notLent("it is not known which statement it is of")
		}
		if bad := r.lent(&r.list[i], sql.Access{Needs: needsOf(a)}); bad != nil {
			return bad
		}
	}
	return nil
}

func notLent(why string) *refusal {
	return &refusal{code: CodeNotLent, state: stateRefused, why: "a person cannot be asked about it, since what it needs cannot be given: " + why,
		instead: "Tell the person what is to be done; who owns the database does it."}
}

// lendable asks whether what the statement needs can be given, before a person is asked.
func (r *run) lendable(ctx context.Context) *refusal {
	e := r.s.g.c.Elevator
	if e == nil || len(r.needs) == 0 {
		return nil
	}
	why, err := e.Lendable(ctx, r.s.db.Service, needsText(r.needs))
	switch {
	case err != nil: // it names the database's address, and is for the log
		r.s.g.c.Alert(ctx, AlertLend, r.acts[0], "it could not be found whether a right can be given: "+printable(err.Error(), 400))
		why = "the database could not be asked about it"
	case why == "":
		return nil
	}
	bad := notLent(printable(why, 400))
	bad.what = describe(&r.acts[0])
	return bad
}

// elevateAll has the task's role given the rights for what was approved, now that all
// of the statement was: while a person thinks about its other parts, nobody has them.
func (r *run) elevateAll(ctx context.Context) (lower func(), err error) {
	var all []func()
	lower = func() {
		for _, f := range slices.Backward(all) {
			f()
		}
	}
	if r.s.g.c.Elevator == nil || !slices.ContainsFunc(r.approved, func(p pipeline.Permit) bool { return widens(p.Action()) }) {
		return lower, nil
	}
	if r.s.sent {
		// What came before in the batch is over before rights are there: to make a plan can
		// run code.
		if skips, err := r.s.settle(); skips || err != nil {
			return lower, err // and nothing is sent
		}
		if err := r.s.again(); err != nil {
			return nil, err
		}
	}
	if r.of == nil && r.s.executes {
		// A Query ends the transaction of what was executed before it.
		return nil, &refusal{code: CodeNotLent, state: stateRefused, why: "it has rights of its own while it runs, and ends what was executed before it", instead: "Send a Sync before it."}
	}
	// A Sync would end the transaction, and what waits for that of what ran before, such as
	// triggers that were put off, would run with the rights.
	r.s.apart = r.s.executes
	all = append(all, func() { r.s.apart, r.s.stale = false, r.s.within() })
	if slices.ContainsFunc(r.approved, func(p pipeline.Permit) bool { return ownsAny(p.Action()) }) {
		open, err := r.s.alone(ctx)
		if err != nil {
			lower()
			return nil, err
		}
		all = append(all, open)
	}
	for _, p := range r.approved {
		one, err := r.elevate(ctx, p)
		if err != nil {
			lower()
			return nil, err
		}
		all = append(all, one)
	}
	r.s.stale = true
	if err := r.s.freshen(); err != nil {
		lower()
		return nil, err
	}
	return lower, nil
}

// elevate has the task's role given the right for what was approved, and returns how
// it is taken back.
func (r *run) elevate(ctx context.Context, p pipeline.Permit) (lower func(), err error) {
	e := r.s.g.c.Elevator
	if e == nil || !widens(p.Action()) {
		return func() {}, nil
	}
	if err := e.Elevate(ctx, p.Record()); err != nil {
		return nil, err
	}
	return func() {
		// The right ends with the action's outcome anyway; this is sooner.
		if err := e.Lower(context.WithoutCancel(ctx), p.Record()); err != nil {
			r.s.g.c.Alert(ctx, AlertRight, p.Action(), "a right in the database could not be taken back at once: "+err.Error())
		}
	}, nil
}

// notElevated is what an agent is told when an approved statement could not be given its
// right.
func notElevated(err error) error {
	if bad, ok := errors.AsType[*refusal](err); ok {
		return bad
	}
	why := "it was approved, but the task's role could not be given the right for it; the log says why"
	if no, ok := errors.AsType[*NotLent](err); ok {
		why = "it was approved, but the task's role could not be given the right for it: " + printable(no.Why, 400)
	}
	return &refusal{code: pipeline.CodeNoCredential, state: stateRefused, why: why}
}

// needed writes for a person what a statement has while it runs.
func (r *run) needed() string {
	var b strings.Builder
	for i := range r.acts {
		for _, n := range needsOf(r.acts[i]) {
			line := "  while it runs, the task has " + printable(n.String(), 200) + "\n"
			if !strings.Contains(b.String(), line) {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}
