package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// BenchmarkStart measures a whole task that runs true, with every wall up.
// BenchmarkBubblewrap is the yardstick: a sandbox with fewer walls.
func BenchmarkStart(b *testing.B) {
	base := b.TempDir()
	work := filepath.Join(base, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		scratch := filepath.Join(base, strconv.Itoa(i))
		if err := os.Mkdir(scratch, 0o700); err != nil {
			b.Fatal(err)
		}
		s, err := Start(b.Context(), Spec{Argv: []string{"true"}, Dir: work, Env: []string{"PATH=/usr/bin:/bin"}, Scratch: scratch,
			Files:    []File{{Path: work, Access: Writable}},
			Protect:  Protect{Names: []string{".envrc"}, Repository: []string{".git/hooks"}},
			TCPPorts: []uint16{80, 443}, Socket: "/run/ambit/agent.sock"})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Go(); err != nil {
			b.Fatal(err)
		}
		if st, err := s.Wait(); err != nil || st.Exit() != 0 {
			b.Fatal(st, err)
		}
	}
}

func BenchmarkBubblewrap(b *testing.B) {
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		b.Skip("bwrap is not installed")
	}
	for range b.N {
		if err := exec.Command(bwrap, "--unshare-all", "--ro-bind", "/", "/", "true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}
