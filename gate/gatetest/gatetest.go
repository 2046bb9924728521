// Package gatetest is the hostile battery that every gate passes. It drives a
// gate over its real wire, with the real pipeline behind it and stages that
// fail, hang, lie and answer nothing, and it looks at what the upstream saw: the
// state of the world, not the gate's own word.
package gatetest

import (
	"context"
	"testing"

	"ambit"
	"ambit/gate"
)

// Harness says how one kind of gate is started for a test.
type Harness struct {
	// Start starts a gate for s in front of an upstream. Everything that it
	// starts is ended by a clean-up on t.
	Start func(t *testing.T, s Setup) Gate

	// Mute says that the wire cannot carry a refusal's code and record: a
	// refused action just breaks off.
	Mute bool
	// NoCredential says that the wire has no place for a credential.
	NoCredential bool
	// Opens says that an action only opens the connection over which the attempts
	// come, on a wire that has such a thing; nil for none. It is allowed and not asked
	// about, whatever the battery does to the attempts, and left out of what it counts;
	// stages that fail or hang fail it too.
	Opens func(a *ambit.Action) bool
}

// Setup is what a gate is started with.
type Setup struct {
	Task gate.Task
	Do   gate.Doer

	// Foresee looks ahead at a verdict, for gates that need to know whether an
	// action will be asked about.
	Foresee func(a *ambit.Action) ambit.Verdict
	// Alert takes the gate's alerts.
	Alert func(kind, detail string)

	// Saw must be called by the upstream for every action that reaches it,
	// before it answers. It may block until ctx, which must end with the
	// connection from the gate. The upstream then answers with success and with
	// everything that it received, the credential included.
	Saw func(ctx context.Context, s Seen)
}

// Seen is one action as the upstream saw it.
type Seen struct {
	Mark       string
	Credential string // the secret that came with it, as it was minted; "" for none
}

// Gate is a running gate with an agent beside it.
type Gate interface {
	// Attempt makes one action of the effect, as an agent would: over the
	// gate's wire, with the mark in what the action says and changes (its
	// body, say), so that another mark is another action and the same mark the
	// identical one. It hangs up when ctx ends.
	Attempt(ctx context.Context, e ambit.Effect, mark string) Result
	// Revoke ends the task at the gate, as the gatekeeper does.
	Revoke()
}

// Result is what the agent got.
type Result struct {
	Done     bool   // it was told of success
	Code     string // of the refusal that it was told of
	Record   string // the record that the refusal named
	Received []byte // every byte that it received
	Err      error  // why the wire broke, if it did
}

// Run runs the whole battery.
func Run(t *testing.T, h Harness) {
	b := battery{h}
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"benign", b.benign},
		{"denied", b.denied},
		{"a stage fails", b.stages},
		{"a stage hangs", b.hangs},
		{"approval", b.approvals},
		{"the pipeline lies", b.liars},
		{"no outcome", b.frozen},
		{"the task ends", b.ended},
		{"revoked", b.revoked},
		{"the agent hangs up", b.hangUp},
		{"many at once", b.many},
	} {
		t.Run(part.name, part.run)
	}
}

type battery struct{ h Harness }

// effects are the three kinds of action.
func effects() []ambit.Effect {
	return []ambit.Effect{ambit.Read, ambit.Write, ambit.Irreversible}
}
