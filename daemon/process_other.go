//go:build !linux

package daemon

import "ambit/store/row"

// process knows nothing here: no gatekeeper starts on this system.
func process(int) string { return "" }

// gatekeeperGone is never known here.
func gatekeeperGone(*row.Task) bool { return false }
