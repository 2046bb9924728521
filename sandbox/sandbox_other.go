//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"time"
)

var errSystem = errors.New("cannot build the walls on " + runtime.GOOS + ": Ambit's sandbox needs Linux 5.19 or later; run it in a Linux machine or virtual machine")

// Sandbox cannot be made on this system.
type Sandbox struct{}

// Start refuses: this system has no walls.
func Start(context.Context, Spec) (*Sandbox, error) { return nil, errSystem }

// Streams are what the command reads and writes.
type Streams struct {
	Terminal              bool
	Stdin, Stdout, Stderr *os.File
}

// Begin refuses: this system has no walls.
func Begin(context.Context, Streams) (*Sandbox, error) { return nil, errSystem }

// Prepare refuses: this system has no walls.
func (*Sandbox) Prepare(Spec) error { return errSystem }

// Build refuses: this system has no walls.
func (*Sandbox) Build([]string) error { return errSystem }

// Ready refuses: this system has no walls.
func (*Sandbox) Ready() error { return errSystem }

// Abandon does nothing.
func (*Sandbox) Abandon() {}

// Seal refuses: this system has no walls.
func (*Sandbox) Seal() error { return errSystem }

// Report returns nothing: this system has no walls.
func (*Sandbox) Report() Report { return Report{System: runtime.GOOS + " " + runtime.GOARCH} }

// TCP returns nothing: this system has no walls.
func (*Sandbox) TCP() map[uint16]net.Listener { return nil }

// DNS returns nothing: this system has no walls.
func (*Sandbox) DNS() (net.PacketConn, net.Listener) { return nil, nil }

// Agent returns nothing: this system has no walls.
func (*Sandbox) Agent() net.Listener { return nil }

// Go refuses: this system has no walls.
func (*Sandbox) Go() error { return errSystem }

// OnExit does nothing.
func (*Sandbox) OnExit(func(Status)) {}

// Wait refuses: this system has no walls.
func (*Sandbox) Wait() (Status, error) { return Status{}, errSystem }

// Signal refuses: this system has no walls.
func (*Sandbox) Signal(os.Signal) error { return errSystem }

// Kill refuses: this system has no walls.
func (*Sandbox) Kill() error { return errSystem }

// Confine refuses: this system has no walls.
func Confine(ConfineSpec) (Report, error) { return Report{}, errSystem }

// CoarseTimers does nothing.
func CoarseTimers(time.Duration) {}

// HugeProgram does nothing.
func HugeProgram() (bool, error) { return false, nil }

// Clean removes a task's scratch directory.
func Clean(scratch string) error { return os.RemoveAll(scratch) }

// Doctor says that this system has no walls.
func Doctor() []Finding {
	return []Finding{{Name: "system", Needed: true, Found: runtime.GOOS, Remedy: "run Ambit on Linux 5.19 or later, also in a virtual machine"}}
}
