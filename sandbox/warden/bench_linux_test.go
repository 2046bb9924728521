//go:build amd64 || arm64

package warden

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attackBench prints the nanoseconds of one call, at the best of five rounds.
func attackBench(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	one := benches()[args[0]]
	best := time.Duration(1 << 62)
	for range 5 {
		began := time.Now()
		for i := range n {
			if err := one("f" + strconv.Itoa(i)); err != nil {
				return err
			}
		}
		best = min(best, time.Since(began))
		for i := range n {
			_, _ = os.Remove("f"+strconv.Itoa(i)), 0
		}
	}
	fmt.Println(best.Nanoseconds() / int64(n))
	return nil
}

func benches() map[string]func(string) error {
	return map[string]func(string) error{
		"create": opener(unix.O_CREAT | unix.O_WRONLY),
		"excl":   opener(unix.O_CREAT | unix.O_WRONLY | unix.O_EXCL),
		"mkdir":  func(p string) error { return unix.Mkdir(p, 0o755) },
		"append": func(string) error { return opener(unix.O_CREAT | unix.O_WRONLY | unix.O_APPEND)("seed") },
		"save":   func(p string) error { return moving(p, 0) },
		"read":   func(string) error { return opener(unix.O_RDONLY)("seed") },
		"free":   func(p string) error { return opener(unix.O_CREAT | unix.O_WRONLY)(os.Getenv("HOME") + "/" + p) },
	}
}

// BenchmarkCall measures one system call with the warden and without.
func BenchmarkCall(b *testing.B) {
	who := users()[len(users())-1]
	for _, name := range []string{"create", "excl", "mkdir", "append", "save", "read", "free"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				with, without := measure(b, who, name, false), measure(b, who, name, true)
				b.ReportMetric(with, "ns/warden")
				b.ReportMetric(without, "ns/plain")
				b.ReportMetric(with/without, "ratio")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func measure(b *testing.B, who int, name string, plain bool) float64 {
	b.Helper()
	root, free := ground(b, who)
	plant(b, who, root, "seed")
	o := start(b, setup{Who: who, Tree: Tree{Root: root, Names: []string{".envrc"}, Paths: []string{".git/hooks"}}, Free: free,
		Dir: root, Argv: []string{"/proc/self/exe", "bench", name, "1000"}, Plain: plain})
	ns, err := strconv.ParseFloat(strings.TrimSpace(o.Out), 64)
	if err != nil || o.Code != 0 {
		b.Fatalf("exit %d: %s", o.Code, o.Out)
	}
	return ns
}
