package identity

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestIntroduction has others than the daemon try to be it for a gatekeeper.
func TestIntroduction(t *testing.T) {
	h, stranger := newHouse(t), newHouse(t)
	public := h.Public()
	e, other := h.enrol(), h.enrol()
	h.open() // the daemon was started again
	h.pass(rootLife - rollBefore)
	h.open() // and its root has rolled over
	n := Nonce{1, 2, 3}
	sign := func(a *Authority, task enrolled, n Nonce) []byte {
		t.Helper()
		s, err := a.Introduce(task.Task.ID, n)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := sign(h.Authority, e, n)
	if err := CheckIntroduction(public, domain, e.Task.ID, n, good); err != nil {
		t.Fatalf("the daemon itself: %v", err)
	}
	cut := bytes.Clone(good)
	cut[7] ^= 1
	for what, sig := range map[string][]byte{
		"nothing": nil, "zeroes": make([]byte, ed25519.SignatureSize), "a changed one": cut, "a long one": append(bytes.Clone(good), 0),
		"another daemon's": sign(stranger.Authority, e, n), "another task's": sign(h.Authority, other, n), "another nonce's": sign(h.Authority, e, Nonce{9}),
		"a signature of the bare nonce": ed25519.Sign(h.daemon, n[:]),
	} {
		if CheckIntroduction(public, domain, e.Task.ID, n, sig) == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	if CheckIntroduction(public, "evil.example", e.Task.ID, n, good) == nil {
		t.Error("another trust domain's was accepted")
	}
	for _, key := range [][]byte{nil, {}, public[:31]} {
		if CheckIntroduction(key, domain, e.Task.ID, n, good) == nil {
			t.Errorf("a key of %d bytes accepted it", len(key))
		}
	}
}

func TestDaemonKey(t *testing.T) {
	dir := t.TempDir()
	keys := make([]ed25519.PrivateKey, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = openDaemonKey(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !k.Equal(keys[0]) {
			t.Fatal("two daemons have two keys")
		}
	}
	path := filepath.Join(dir, daemonFile)
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if l, _ := os.ReadDir(dir); len(l) != 1 {
		t.Errorf("left behind: %v", l)
	}
	for name, spoil := range map[string]func(){
		"cut short":       func() { os.WriteFile(path, []byte("short"), 0o600) },
		"readable by all": func() { os.Chmod(path, 0o644) },
		"a link":          func() { os.Rename(path, path+"2"); os.Symlink(path+"2", path) },
	} {
		os.RemoveAll(path)
		if _, err := openDaemonKey(dir); err != nil {
			t.Fatal(err)
		}
		spoil()
		if _, err := openDaemonKey(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
