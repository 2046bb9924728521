package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ambit"
)

// The daemon has a key of its own, which never rolls over: with it a daemon that
// was started again shows the gatekeepers of before that it is theirs.

const daemonFile = "daemon.key" // the seed (RFC 8032 section 5.1.5), as it is

// Nonce is what a gatekeeper asks whoever comes to its door to sign.
type Nonce [32]byte

// openDaemonKey loads the daemon's key, making one when there is none.
func openDaemonKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, daemonFile)
	k, err := loadDaemonKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed) // never fails
		err = replace(path, seed, true)
		if err == nil || errors.Is(err, fs.ErrExist) {
			k, err = loadDaemonKey(path) // another daemon may have been first
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the daemon's key %s: %w", path, err)
	}
	return k, nil
}

func loadDaemonKey(path string) (ed25519.PrivateKey, error) {
	seed, err := readOwn(path)
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the file is damaged: %d bytes, want %d: move it away to begin a new one; live tasks then end", len(seed), ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// readOwn reads a file of private keys.
func readOwn(path string) ([]byte, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	// Whoever can read the file can be every task, or the daemon; whoever can plant a
	// link here can choose the keys.
	if !fi.Mode().IsRegular() || fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("it must be a plain file that only its owner can use (it is %v): chmod 600 it when nobody else had it, else move it away and begin a new one", fi.Mode())
	}
	return os.ReadFile(path)
}

// Public returns the key by which gatekeepers know the daemon (Ed25519, 32 bytes).
func (a *Authority) Public() []byte {
	if a.usable() != nil {
		return nil
	}
	k, _ := a.daemon.Public().(ed25519.PublicKey)
	return k
}

// Introduce signs the nonce of a task's gatekeeper. Call it only on a connection
// that was made to that task's door: the answer is good for that task alone, so
// that no gatekeeper can use it to be the daemon for another.
func (a *Authority) Introduce(task ambit.TaskID, n Nonce) ([]byte, error) {
	if err := a.usable(); err != nil {
		return nil, err
	}
	return ed25519.Sign(a.daemon, introduced(a.domain.Name(), task, n)), nil
}

// CheckIntroduction accepts the answer of the daemon with the public key; the
// gatekeeper calls it.
func CheckIntroduction(public []byte, trustDomain string, task ambit.TaskID, n Nonce, signature []byte) error {
	if len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, introduced(trustDomain, task, n), signature) {
		return errors.New("cannot accept the visitor: it does not hold the key of this task's daemon")
	}
	return nil
}

// introduced is what is signed. It begins with words that nothing else signs.
func introduced(trustDomain string, task ambit.TaskID, n Nonce) []byte {
	b := []byte("ambit: I am the daemon of this task, version 1\x00")
	b = append(append(b, trustDomain...), 0)
	b = append(append(b, task...), 0)
	return append(b, n[:]...)
}
