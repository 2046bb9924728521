//go:build !(linux && (amd64 || arm64))

package warden

import "errors"

var errSystem = errors.New("cannot guard the workspace: the warden needs Linux on amd64 or arm64")

// Warden cannot be made on this system.
type Warden struct{}

// New refuses: this system has no warden.
func New(int, Rules) (*Warden, error) { return nil, errSystem }

// Serve refuses: this system has no warden.
func (*Warden) Serve() error { return errSystem }

// Refused returns zero: this system has no warden.
func (*Warden) Refused() uint64 { return 0 }

// Report returns nothing: this system has no warden.
func (*Warden) Report() []string { return nil }

// Install refuses: this system has no warden.
func Install() (int, error) { return -1, errSystem }

// Prove refuses: this system has no warden.
func Prove(...string) error { return errSystem }

// SendListener refuses: this system has no warden.
func SendListener(int, int) error { return errSystem }

// ReceiveListener refuses: this system has no warden.
func ReceiveListener(int) (int, error) { return -1, errSystem }
