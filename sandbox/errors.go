package sandbox

import "errors"

// ErrNotFound is wrapped by Go's error when the command could not be started.
var ErrNotFound = errors.New("the command was not started")
