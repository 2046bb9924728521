package github

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ambit"
	"ambit/broker"
	"ambit/store/row"
)

// recipe is what makes a provider again. The keys stand behind its JSON and not in
// it: whatever encodes JSON keeps copies that nobody can wipe.
type recipe struct {
	App          int64             `json:"app"`
	Installation int64             `json:"installation,omitempty"`
	Owner        string            `json:"owner"`
	Repositories []string          `json:"repositories,omitempty"`
	All          bool              `json:"all,omitempty"`
	Permissions  map[string]string `json:"permissions"`
	API          string            `json:"api"`
	Dial         string            `json:"dial,omitempty"`
	Roots        []byte            `json:"roots,omitempty"`
	File         string            `json:"file,omitempty"` // of the App's key; else it is behind
	Apart        []string          `json:"apart,omitempty"`
	From         string            `json:"from,omitempty"` // of a key that is behind
}

var (
	_ broker.Lasting = (*Provider)(nil)
	_ broker.Renewer = (*Provider)(nil)
)

// Renew implements [broker.Renewer]: a token lives for an hour, and a lease for less.
// Once the hour is too short, nothing is left to renew and another is made.
func (p *Provider) Renew(ctx context.Context, l row.Lease, until time.Time) error {
	_, now := p.known(l)
	if len(now.tokens) == 0 || now.ends.Before(until) {
		return broker.ErrGone
	}
	for _, t := range now.tokens {
		if usable, err := p.usable(ctx, t); err != nil {
			return err
		} else if !usable {
			return broker.ErrGone
		}
	}
	return nil
}

// Recipe returns what [Restore] makes the provider of again. It holds the App's key,
// when that is not in a file, and is the caller's own.
func (p *Provider) Recipe() ([]byte, error) {
	r := recipe{
		App: p.c.App, Installation: p.c.Installation, Owner: p.c.Owner, Repositories: p.c.Repositories, All: p.c.All,
		Permissions: p.c.Permissions, API: p.c.API, Dial: p.c.Dial, Roots: p.c.Roots,
	}
	var key []byte
	var err error
	switch k := p.c.Key.(type) {
	case broker.File:
		r.File, r.Apart = k.Path, k.Apart
	case *KeyValue:
		r.From = k.name
		key, err = k.Read(context.Background())
	default:
		err = fmt.Errorf("a key from %v cannot be kept", p.c.Key)
	}
	defer clear(key)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(text)+1+len(p.sealing)+len(key))
	out = append(append(append(out, text...), 0), p.sealing[:]...)
	return append(out, key...), nil
}

// Restore makes a provider from a recipe, which is only lent. It takes leases that it
// does not know for minted. Without a recipe it can only wait for their end.
func Restore(b []byte) (*Provider, error) {
	if len(b) == 0 {
		return &Provider{}, nil
	}
	text, rest, ok := bytes.Cut(b, []byte{0})
	var r recipe
	if !ok || json.Unmarshal(text, &r) != nil || len(rest) < len(Provider{}.sealing) {
		return nil, errors.New("cannot make a GitHub App's provider again: what was kept of it is broken")
	}
	c := Config{
		App: r.App, Installation: r.Installation, Owner: r.Owner, Repositories: r.Repositories, All: r.All,
		Permissions: r.Permissions, API: r.API, Dial: r.Dial, Roots: r.Roots,
	}
	if r.File != "" {
		c.Key = broker.File{Path: r.File, Apart: r.Apart}
	} else {
		k, err := Key(r.From, bytes.Clone(rest[len(Provider{}.sealing):]))
		if err != nil {
			return nil, err
		}
		c.Key = k
	}
	p, err := New(c)
	if err != nil {
		return nil, err
	}
	copy(p.sealing[:], rest)
	p.restored = true
	return p, nil
}

func newSealing(b []byte) { rand.Read(b) } // never fails

func (p *Provider) cipher() (cipher.AEAD, error) {
	b, err := aes.NewCipher(p.sealing[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}

// seal makes the lease's handle: the token, which GitHub wants to see when it is
// revoked, and its end, in a form that only who has the recipe can open, and only as
// this lease's.
func (p *Provider) seal(secret []byte, ends time.Time, lease string) (string, error) {
	c, err := p.cipher()
	if err != nil {
		return "", err
	}
	plain := append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(secret)), uint64(ends.Unix())), secret...)
	defer clear(plain)
	return base64.RawURLEncoding.EncodeToString(c.Seal(nil, nil, plain, []byte(lease))), nil
}

func (p *Provider) unseal(handle, lease string) (t ambit.SecretValue, ends time.Time, err error) {
	b, err := base64.RawURLEncoding.DecodeString(handle)
	if err != nil || len(b) == 0 {
		return t, ends, errors.New("it has no handle")
	}
	c, err := p.cipher()
	if err != nil {
		return t, ends, err
	}
	plain, err := c.Open(nil, nil, b, []byte(lease))
	if err != nil || len(plain) <= 8 {
		return t, ends, errors.New("its handle does not open")
	}
	return ambit.NewSecret(plain[8:]), time.Unix(int64(binary.BigEndian.Uint64(plain)), 0), nil
}
