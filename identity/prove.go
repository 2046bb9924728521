package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Bounds of challenges.
const (
	challengeLife = 30 * time.Second
	maxChallenges = 256
)

// Challenge is what a gatekeeper signs to show that it holds its task's key,
// after the daemon was started again, say. It is good for one attempt within
// 30 seconds.
type Challenge [32]byte

// proofs are the challenges that are open.
type proofs struct {
	mu   sync.Mutex
	open map[Challenge]time.Time // until when
}

// Challenge makes a new challenge.
func (a *Authority) Challenge() (Challenge, error) {
	if err := a.usable(); err != nil {
		return Challenge{}, err
	}
	var c Challenge
	rand.Read(c[:]) // never fails
	now := a.Now()
	a.proofs.mu.Lock()
	defer a.proofs.mu.Unlock()
	if a.proofs.open == nil {
		a.proofs.open = map[Challenge]time.Time{}
	}
	for old, until := range a.proofs.open {
		if !now.Before(until) {
			delete(a.proofs.open, old)
		}
	}
	if len(a.proofs.open) >= maxChallenges {
		return Challenge{}, fmt.Errorf("cannot make challenge: %d are open: try again in %v", maxChallenges, challengeLife)
	}
	a.proofs.open[c] = now.Add(challengeLife)
	return c, nil
}

// take uses a challenge up.
func (p *proofs) take(c Challenge, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.open[c]
	delete(p.open, c)
	return ok && now.Before(until)
}

// Answer signs a challenge with a task's key; the gatekeeper calls it.
func Answer(key crypto.Signer, trustDomain string, c Challenge) ([]byte, error) {
	b, err := key.Sign(rand.Reader, answered(trustDomain, c), crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("cannot answer challenge: %w", err)
	}
	return b, nil
}

// answered is what is signed. It begins with words that nothing else signs, so
// that no signature made elsewhere with the key, in TLS say, answers a challenge.
func answered(trustDomain string, c Challenge) []byte {
	h := sha256.New()
	h.Write([]byte("ambit: I hold this task's key, version 1\x00"))
	h.Write([]byte(trustDomain))
	h.Write([]byte{0})
	h.Write(c[:])
	return h.Sum(nil)
}

// Prove accepts a task's X.509-SVID (DER) with the answer to a challenge, and
// returns the task, which is live. The challenge is used up in any case.
func (a *Authority) Prove(c Challenge, svid, signature []byte) (Task, error) {
	if err := a.usable(); err != nil {
		return Task{}, err
	}
	if !a.proofs.take(c, a.Now()) {
		return Task{}, errors.New("cannot accept proof: the challenge is not open: ask for a new one")
	}
	t, key, err := a.verifyX509(svid)
	if err != nil {
		return Task{}, fmt.Errorf("cannot accept proof: %w", err)
	}
	if len(signature) > 128 || !ecdsa.VerifyASN1(key, answered(a.domain.Name(), c), signature) {
		return Task{}, errors.New("cannot accept proof: the signature is not by the task's key")
	}
	return t, nil
}
