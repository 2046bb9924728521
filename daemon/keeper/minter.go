package keeper

import (
	"context"
	"sync"
	"time"

	"ambit"
	"ambit/daemon"
	"ambit/daemon/wire"
	"ambit/pipeline"
)

// tokenMargin is how long before its end a token is not used any more.
const tokenMargin = 10 * time.Second

// minter gives services that take the task's own identity a JWT-SVID, and asks
// the broker for the others.
type minter struct {
	pipeline.Minter
	link     *daemon.Link
	audience map[string]string // by service

	mu     sync.Mutex
	tokens map[string]wire.JWTAnswer // by audience
}

// Mint implements [pipeline.Minter].
func (m *minter) Mint(ctx context.Context, a *ambit.Action) (ambit.SecretValue, error) {
	aud, ok := m.audience[a.Service]
	if !ok {
		return m.Minter.Mint(ctx, a)
	}
	m.mu.Lock()
	t, ok := m.tokens[aud]
	m.mu.Unlock()
	if ok && time.Until(t.Expires) > tokenMargin {
		return ambit.NewSecret([]byte(t.Token)), nil
	}
	t, err := m.link.JWT(ctx, aud)
	if err != nil {
		return ambit.SecretValue{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tokens == nil {
		m.tokens = map[string]wire.JWTAnswer{}
	}
	m.tokens[aud] = t
	return ambit.NewSecret([]byte(t.Token)), nil
}
