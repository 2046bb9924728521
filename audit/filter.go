package audit

import (
	"slices"
	"time"

	"ambit"
)

// Filter chooses records. The zero value chooses all; every field that is set
// must fit.
type Filter struct {
	Types                                       []string // any of them
	Task, Agent, Service, Operation, Digest     string
	Effect, Verdict, Outcome, Approval, Decided string // Decided is decided_by
	Intent                                      ambit.RecordID
	Since                                       time.Time // at or after
	Until                                       time.Time // before
	Match                                       func(*Record) bool
}

// Matches says whether the filter chooses r.
func (f *Filter) Matches(r *Record) bool {
	if len(f.Types) > 0 && !slices.Contains(f.Types, r.Type) {
		return false
	}
	for _, p := range [...][2]string{{f.Task, r.Task}, {f.Agent, r.Agent}, {f.Service, r.Service}, {f.Operation, r.Operation},
		{f.Digest, r.Digest}, {f.Effect, r.Effect}, {f.Verdict, r.Verdict}, {f.Outcome, r.Outcome}, {f.Approval, r.Approval}, {f.Decided, r.DecidedBy}} {
		if p[0] != "" && p[0] != p[1] {
			return false
		}
	}
	switch {
	case f.Intent != 0 && f.Intent != r.Intent,
		!f.Since.IsZero() && r.Time.Before(f.Since),
		!f.Until.IsZero() && !r.Time.Before(f.Until):
		return false
	}
	return f.Match == nil || f.Match(r)
}
