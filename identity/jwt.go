package identity

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"ambit"
)

// Bounds of JWT-SVIDs.
const (
	DefaultJWTLife = 5 * time.Minute
	MaxJWTLife     = 15 * time.Minute
	maxAudiences   = 8
	maxGranted     = 64   // audiences of one task
	maxAudience    = 256  // bytes
	maxJWT         = 8192 // bytes
)

// Claims is what a JWT-SVID says.
type Claims struct {
	Subject  string           `json:"sub"` // the task's SPIFFE ID
	Audience jwt.Audience     `json:"aud"`
	Expiry   *jwt.NumericDate `json:"exp"`
	IssuedAt *jwt.NumericDate `json:"iat"`
	ID       string           `json:"jti"`
	OnBehalf *Actor           `json:"act,omitempty"`
	task     ambit.TaskID
}

// Task returns the task that the claims speak for.
func (c Claims) Task() ambit.TaskID { return c.task }

// Actor is the party on whose behalf a task acts, in the nested form of
// RFC 8693 section 4.1: the parent's SPIFFE ID and so on upwards, the person
// last. As a JWT-SVID's subject is always the workload itself, the claim here
// names who stands above it.
type Actor struct {
	Subject  string `json:"sub"`
	OnBehalf *Actor `json:"act,omitempty"`
}

// JWT makes a JWT-SVID (ES256) of a live task for audiences that it was
// enrolled with, which ends after life (zero is five minutes, at most fifteen) or with the task.
func (a *Authority) JWT(id ambit.TaskID, audience []string, life time.Duration) (string, error) {
	if err := checkAudiences(audience); err != nil {
		return "", err
	}
	if life == 0 {
		life = DefaultJWTLife
	}
	if life < 0 || life > MaxJWTLife {
		return "", fmt.Errorf("cannot make token: a life of %v: want at most %v", life, MaxJWTLife)
	}
	if err := a.Live(id); err != nil {
		return "", fmt.Errorf("cannot make token: %w", err)
	}
	now := a.Now()
	a.mu.RLock()
	g := a.root.gens[0]
	c, err := a.claims(id, audience, now, life)
	a.mu.RUnlock()
	if err != nil {
		return "", err
	}
	key := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: g.jwtKey, KeyID: g.kid}}
	s, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("cannot make token: %w", err)
	}
	return jwt.Signed(s).Claims(c).Serialize()
}

// claims is called with mu held.
func (a *Authority) claims(id ambit.TaskID, audience []string, now time.Time, life time.Duration) (Claims, error) {
	t := a.tasks[id]
	if t == nil {
		return Claims{}, fmt.Errorf("cannot make token: %w", ErrNotLive)
	}
	// A gatekeeper that was taken over would otherwise speak for its task to
	// everybody who trusts this authority.
	for _, s := range audience {
		if !slices.Contains(t.Audiences, s) {
			return Claims{}, fmt.Errorf("cannot make token: the grants of task %s name no audience %q", id, clip(s))
		}
	}
	exp := now.Add(life)
	if t.Expires.Before(exp) {
		exp = t.Expires
	}
	var b [16]byte
	rand.Read(b[:]) // never fails
	return Claims{
		Subject: t.SPIFFE, Audience: slices.Clone(audience), Expiry: jwt.NewNumericDate(exp), IssuedAt: jwt.NewNumericDate(now),
		ID: hex.EncodeToString(b[:]), OnBehalf: a.above(t),
	}, nil
}

// above returns the chain of those on whose behalf t acts. mu is held.
func (a *Authority) above(t *Task) *Actor {
	if p := a.tasks[t.Parent]; p != nil {
		return &Actor{Subject: p.SPIFFE, OnBehalf: a.above(p)}
	}
	if t.OnBehalfOf != "" {
		return &Actor{Subject: t.OnBehalfOf}
	}
	return nil
}

func checkAudiences(audience []string) error {
	if len(audience) == 0 || len(audience) > maxAudiences {
		return fmt.Errorf("cannot make token: %d audiences: want 1 to %d", len(audience), maxAudiences)
	}
	for _, s := range audience {
		if err := checkAudience(s); err != nil {
			return err
		}
	}
	return nil
}

func checkAudience(s string) error {
	if s == "" || len(s) > maxAudience || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("cannot make token: audience %q: want 1 to %d visible ASCII characters", clip(s), maxAudience)
	}
	return nil
}

// VerifyJWT accepts a JWT-SVID of a task that is live now, made here for the
// audience.
func (a *Authority) VerifyJWT(token, audience string) (Claims, error) {
	if err := a.usable(); err != nil {
		return Claims{}, err
	}
	c, err := a.verifyJWT(token, audience)
	if err != nil {
		return Claims{}, fmt.Errorf("cannot accept token: %w", err)
	}
	return c, nil
}

func (a *Authority) verifyJWT(token, audience string) (c Claims, err error) {
	if len(token) > maxJWT {
		return c, fmt.Errorf("%d bytes, at most %d", len(token), maxJWT)
	}
	// The algorithm is ours and never the token's word; the key is the one that
	// kid names.
	t, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return c, err
	}
	now := a.Now()
	key, err := a.jwtKey(t.Headers, now)
	if err != nil {
		return c, err
	}
	if err := t.Claims(key, &c); err != nil {
		return Claims{}, err
	}
	switch {
	case c.Expiry == nil || !now.Before(c.Expiry.Time()):
		return Claims{}, jwt.ErrExpired
	case c.IssuedAt == nil || c.IssuedAt.Time().After(now):
		return Claims{}, jwt.ErrIssuedInTheFuture
	case audience == "" || !slices.Contains(c.Audience, audience):
		return Claims{}, jwt.ErrInvalidAudience
	}
	c.task, err = a.liveID(c.Subject)
	return c, err
}

func (a *Authority) jwtKey(h []jose.Header, now time.Time) (any, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, g := range a.root.gens {
		if len(h) == 1 && h[0].KeyID == g.kid && now.Before(g.cert.NotAfter) {
			return g.jwt, nil
		}
	}
	return nil, errors.New("no key of this authority signed it")
}

// liveID reads the SPIFFE ID of a task and returns the task when it is live and
// the ID is its own.
func (a *Authority) liveID(s string) (ambit.TaskID, error) {
	agent, id, err := a.parseID(s)
	if err != nil {
		return "", err
	}
	if err := a.Live(id); err != nil {
		return "", err
	}
	if t, ok := a.Task(id); !ok || t.Agent != agent {
		return "", fmt.Errorf("%w: task %s is of another agent", ErrNotLive, id)
	}
	return id, nil
}
