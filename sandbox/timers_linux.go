package sandbox

import (
	"time"

	"ambit/sandbox/kernel"
)

// CoarseTimers lets the kernel be late with the timers of this process, of its
// threads to come and of the programs it starts (timer slack, prctl(2)). Go's
// runtime has a thread that looks around every 20 µs while the program does
// anything, and in a virtual machine each of its wake-ups costs as much as a
// request. The agent gets the usual timers back.
//
// A program that is linked with cgo keeps the usual timers, because Go cannot
// reach all of its threads; nothing but speed depends on it.
func CoarseTimers(lateness time.Duration) { kernel.CoarseTimers(lateness.Nanoseconds()) }
