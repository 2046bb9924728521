package pipeline

import (
	"sync/atomic"

	"ambit"
)

// Permit is the one live right to perform one action. Only [Pipeline.Do] makes
// one, and it dies when the action ends. The zero Permit is refused by
// everything that takes one.
type Permit struct{ p *permit }

type permit struct {
	action ambit.Action
	record ambit.RecordID
	secret ambit.SecretValue
	ended  atomic.Bool
}

// Check returns nil while the permit is live. Whoever performs an effect calls
// it first.
func (p Permit) Check() error {
	switch {
	case p.p == nil:
		return ErrNoPermit
	case p.p.ended.Load():
		return ErrPermitEnded
	}
	return nil
}

// Action returns the action that was permitted; the zero permit's is empty.
func (p Permit) Action() ambit.Action {
	if p.p == nil {
		return ambit.Action{}
	}
	return p.p.action
}

// Record returns the id of the intent.
func (p Permit) Record() ambit.RecordID {
	if p.p == nil {
		return 0
	}
	return p.p.record
}

// Secret returns the credential to inject, empty for a service without one and
// for a permit that is not live.
func (p Permit) Secret() ambit.SecretValue {
	if p.Check() != nil {
		return ambit.SecretValue{}
	}
	return p.p.secret
}
