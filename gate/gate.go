// Package gate is the contract of an adapter that turns wire traffic into
// actions and carries verdicts out. A gate translates and carries: it never
// decides, asks, records, or learns where a secret is kept.
package gate

import (
	"context"

	"ambit"
	"ambit/pipeline"
)

// Doer is the pipeline, as a gate sees it.
type Doer interface {
	Do(ctx context.Context, a ambit.Action, preview func() string, perform pipeline.Perform) error
}

// Task says for whom a gate speaks.
type Task struct {
	ID    ambit.TaskID
	Agent string
}
