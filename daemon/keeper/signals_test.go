package keeper

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
)

// TestASignalWhileTheCommandStarts: a signal ends a task whose command has not been
// started, and the command does not run; of one that may run already nobody says that it
// did not; and one that runs takes its signals itself.
func TestASignalWhileTheCommandStarts(t *testing.T) {
	begin := func() (*keeper, context.Context) {
		ctx, stop := context.WithCancelCause(t.Context())
		return &keeper{stop: stop}, ctx
	}
	k, ctx := begin()
	if !k.early(syscall.SIGINT) {
		t.Error("before the start: the command takes it")
	}
	err := k.launch(ctx, func() error { t.Error("the command runs"); return nil })
	if e, ok := errors.AsType[*Ended](err); !ok || e.Signal != syscall.SIGINT || !strings.Contains(e.Why, "before its command was started") {
		t.Errorf("before the start: %v", err)
	}

	k, ctx = begin()
	err = k.launch(ctx, func() error {
		if !k.early(syscall.SIGTERM) {
			t.Error("during the start: the command takes it")
		}
		return nil
	})
	e, ok := errors.AsType[*Ended](context.Cause(ctx))
	if err != nil || !ok || e.Signal != syscall.SIGTERM || strings.Contains(e.Why, "before") || !strings.Contains(e.Why, "while its command was being started") {
		t.Errorf("during the start: %v, %v", err, context.Cause(ctx))
	}

	k, ctx = begin()
	if err := k.launch(ctx, func() error { return nil }); err != nil || k.early(syscall.SIGINT) || ctx.Err() != nil {
		t.Errorf("after the start: %v, %v", err, ctx.Err())
	}
	k, ctx = begin()
	none := errors.New("there is no such program")
	if err := k.launch(ctx, func() error { return none }); !errors.Is(err, none) || !k.early(syscall.SIGINT) || ctx.Err() == nil {
		t.Errorf("a command that cannot be started: %v, %v", err, ctx.Err())
	}
}
