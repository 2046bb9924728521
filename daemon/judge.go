package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ambit"
	"ambit/approval"
	"ambit/audit"
	"ambit/daemon/wire"
	"ambit/grants"
)

// Compile reads a task's grants file as its gatekeeper did: name is the file's
// base name, workspace and home are the folders of "." and "~".
type Compile func(name string, source []byte, workspace, home string, now time.Time) (*grants.Grants, error)

// judge decides a task's actions again, from the daemon's own copy of its
// grants. A gatekeeper parses the agent's bytes, and one that was taken over
// would say of every action that it is allowed, or that the person approved it.
// The zero value lets nothing pass.
type judge struct {
	read func() (*grants.Grants, error) // once

	mu      sync.Mutex
	granted map[ambit.Digest][]approved
}

// approved is an answer that was handed to the gatekeeper and that no intent has
// used.
type approved struct {
	by    string
	until time.Time
	d     ambit.Decision
}

const (
	// useWithin is how long after the answer an approved action must begin.
	useWithin = time.Minute
	// timeOnTheWay is how old a decision can be when it gets here: the window of a
	// line may have closed since.
	timeOnTheWay = 10 * time.Second
)

// unlimited takes no limit for used up: the gatekeeper counts, and what it
// counts only lowers a verdict.
type unlimited struct{}

// Exhausted implements [grants.Limits].
func (unlimited) Exhausted(int) bool { return false }

// atLeast returns the daemon's own decision, or says that its verdict is lower
// than the one that is claimed.
func (j *judge) atLeast(a *ambit.Action, claimed ambit.Verdict, now time.Time) (ambit.Decision, error) {
	if j == nil || j.read == nil {
		return ambit.Decision{}, errors.New("the task's grants are not known here")
	}
	g, err := j.read()
	if err != nil {
		return ambit.Decision{}, fmt.Errorf("the task's grants cannot be read here: %w", err)
	}
	own := g.DecideWith(a, grants.Facts{Now: now, Limits: unlimited{}})
	if own.Verdict < claimed {
		own = g.DecideWith(a, grants.Facts{Now: now.Add(-timeOnTheWay), Limits: unlimited{}})
	}
	if own.Verdict < claimed {
		return own, fmt.Errorf("the grants say %s (%s), and the gatekeeper %s", own.Verdict, own.By, claimed)
	}
	return own, nil
}

// intent returns the decision to record for an action that is about to be
// performed, or says why it must not be.
func (j *judge) intent(a *ambit.Action, g ambit.Digest, in wire.Intent, now time.Time) (ambit.Decision, error) {
	switch v := in.Decision.Verdict; {
	case v == ambit.Ask && in.Approval != "":
		return j.use(g, in.Approval, now)
	case v == ambit.Ask:
		return ambit.Decision{}, errors.New("nobody has approved it")
	case v != ambit.Allow:
		return ambit.Decision{}, errors.New("its verdict is a refusal")
	case in.Approval != "":
		return ambit.Decision{}, errors.New("it names who approved it, and nobody was asked")
	}
	return j.decision(a, in.Decision, now)
}

// decision is what is recorded of a verdict: the daemon's own words, unless the
// gatekeeper's verdict is lower.
func (j *judge) decision(a *ambit.Action, claimed ambit.Decision, now time.Time) (ambit.Decision, error) {
	own, err := j.atLeast(a, claimed.Verdict, now)
	if err == nil && own.Verdict > claimed.Verdict {
		own = claimed
	}
	return own, err
}

// grant notes that the person said yes to one action, and that the gatekeeper
// was told.
func (j *judge) grant(g ambit.Digest, by string, d ambit.Decision, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.granted == nil {
		j.granted = map[ambit.Digest][]approved{}
	}
	j.granted[g] = append(j.granted[g], approved{by, now.Add(useWithin), d})
}

// use spends an approval that was granted here for exactly this action.
func (j *judge) use(g ambit.Digest, by string, now time.Time) (ambit.Decision, error) {
	if j == nil {
		return ambit.Decision{}, errors.New("the task's grants are not known here")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, x := range j.granted[g] {
		if x.by != by || !now.Before(x.until) {
			continue
		}
		if j.granted[g] = append(j.granted[g][:i], j.granted[g][i+1:]...); len(j.granted[g]) == 0 {
			delete(j.granted, g)
		}
		return x.d, nil
	}
	return ambit.Decision{}, errors.New("it claims an approval, and there is none for it that is unused")
}

// doubted refuses what the gatekeeper says of an action, and alerts: an honest
// one says nothing of the kind.
func (s *session) doubted(a *ambit.Action, g ambit.Digest, claimed ambit.Decision, why error) answer {
	return wire.Replies(func(reply func(any, error)) {
		s.d.log.EnqueueFunc(doubt(a, g, claimed, why), false, func(_ ambit.RecordID, err error) {
			reply(nil, errors.Join(fmt.Errorf("cannot take the action: %w", why), err))
		})
	})
}

func doubt(a *ambit.Action, g ambit.Digest, claimed ambit.Decision, why error) audit.Record {
	r := audit.ForAction(audit.Alert, a, ambit.Decision{}, g)
	r.Verdict = ""
	r.Detail = "gatekeeper: " + approval.SafeLines("it claims "+claimed.Verdict.String()+" by "+claimed.By+": "+why.Error(), 400)
	return r
}

// kept is the task's grants as they are kept while it lives, for a daemon that
// takes it over.
type kept struct {
	Name   string `json:"name"`
	Home   string `json:"home"`
	Source []byte `json:"source"`
}

const keptFile = "grants.json" // in the task's folder, which goes with the task

func (d *Daemon) keptAt(id ambit.TaskID) string {
	return filepath.Join(d.home.Tasks(), string(id), keptFile)
}

// newJudge makes the judge of a task whose grants get gives. They are read when
// the first action comes: many tasks have none.
func (d *Daemon) newJudge(id ambit.TaskID, get func() (kept, error)) *judge {
	return &judge{read: sync.OnceValues(func() (*grants.Grants, error) {
		t, ok := d.ids.Task(id)
		if !ok {
			return nil, errNoTask
		}
		k, err := get()
		if err != nil {
			return nil, err
		}
		g, err := d.compile(k.Name, k.Source, t.Workspace, k.Home, t.Started)
		if err == nil && g.File().Digest() != t.Grants {
			err = errors.New("they are not those that the task was enrolled with")
		}
		if err != nil {
			return nil, err
		}
		return g, nil
	})}
}

// keep writes the grants into the task's folder.
func (d *Daemon) keep(id ambit.TaskID, k kept) error {
	path := d.keptAt(id)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, data(k), 0o600)
}

// kept reads what keep wrote.
func (d *Daemon) kept(id ambit.TaskID) (k kept, err error) {
	b, err := os.ReadFile(d.keptAt(id))
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(b, &k)
}

// othersIntent says whether the intent is one of another session's.
func (d *Daemon) othersIntent(s *session, id ambit.RecordID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.sessions {
		if o == s {
			continue
		}
		o.mu.Lock()
		_, ok := o.open[id]
		o.mu.Unlock()
		if ok {
			return true
		}
	}
	return false
}
