//go:build !linux

package main

import "ambit"

// prompt has nothing to ask for: no task starts on this system.
func prompt(ambit.TaskID) (func(), error) { return func() {}, nil }
