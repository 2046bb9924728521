package web

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// liveBytes collects and tells what is left: what somebody holds, not what
// waits for the collector, whose time is the machine's mood.
func liveBytes() uint64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// watchLive samples the bytes held until it is asked for the most, beyond what
// was held when it began.
func watchLive(t *testing.T) func() uint64 {
	t.Helper()
	base := liveBytes()
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		peak := base
		for {
			peak = max(peak, liveBytes())
			select {
			case <-stop:
				most <- peak - base
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() uint64 { close(stop); return <-most }
}
