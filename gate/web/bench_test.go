package web

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The cost of the gate: TLS in and out on loopback, a small answer to each
// request, the credential injected and the answer searched for it, and the real
// pipeline over a log in memory. Agent, gate and upstream share the machine.

var small = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"ok":true,"items":[1,2,3]}`)
})

func BenchmarkGate(b *testing.B) {
	for _, clients := range []int{1, 8} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			h := newHouse(b, small, withCredential)
			h.quiet()
			measure(b, clients, h.url("/repos/acme/web"), h.client)
		})
	}
}

func BenchmarkDirect(b *testing.B) {
	for _, clients := range []int{1, 8} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			h := newHouse(b, small, withCredential)
			h.quiet()
			measure(b, clients, "https://"+h.up.addr+"/repos/acme/web", h.directClient)
		})
	}
}

// quiet stops the upstream and the log from keeping everything.
func (h *house) quiet() {
	h.up.srv.Handler = small
	h.log.forget = true
}

func (h *house) directClient(protos ...string) *http.Client {
	c := h.client(protos...)
	tr := c.Transport.(*http.Transport)
	tr.DialContext = (&net.Dialer{}).DialContext
	tr.TLSClientConfig.RootCAs = h.up.roots
	return c
}

func measure(b *testing.B, clients int, url string, client func(...string) *http.Client) {
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, clients)
	b.ResetTimer()
	for i := range clients {
		c := client()
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				start := time.Now()
				if err := fetchOnce(c, url); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

func fetchOnce(c *http.Client, url string) error {
	resp, err := c.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	return nil
}

const memoryChild = "AMBIT_TEST_WEB_MEMORY"

// TestResidentMemory runs agent, gate and upstream in one process of their own
// and looks at its resident size after ten thousand requests.
func TestResidentMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc/self/status")
	}
	if raceDetector {
		t.Skip("the race detector's own memory would be measured")
	}
	if os.Getenv(memoryChild) != "" {
		memoryOfMany(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestResidentMemory$", "-test.v")
	cmd.Env = append(os.Environ(), memoryChild+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, line, _ := strings.Cut(string(out), "VmRSS:")
	line, _, _ = strings.Cut(line, "kB")
	var kib int
	if _, err := fmt.Sscan(line, &kib); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%d MiB resident", kib>>10)
	if kib > 40<<10 {
		t.Errorf("%d KiB resident after 10,000 requests", kib)
	}
}

func memoryOfMany(t *testing.T) {
	h := newHouse(t, small, withCredential)
	h.quiet()
	var wg sync.WaitGroup
	for i := range 16 {
		c := h.client([]string{"http/1.1", "h2"}[i%2])
		wg.Go(func() {
			for range 10_000 / 16 {
				if err := fetchOnce(c, h.url("/repos/acme/web")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(string(b))
}
