package sql

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/pipeline"
)

// cancelRequest passes a request to stop a statement on to the database, with the
// database's own numbers instead of those that the gate made up. The agent is told
// nothing, as the protocol has it.
func (g *Gate) cancelRequest(ctx context.Context, a *agent, body []byte) {
	if len(body) != 12 {
		return
	}
	k := cancelKey{binary.BigEndian.Uint32(body[4:]), binary.BigEndian.Uint32(body[8:])}
	g.mu.Lock()
	s := g.sessions[k]
	g.mu.Unlock()
	if s == nil || s.a.db != a.db {
		return
	}
	x := s.a.connAction()
	x.Operation = "sql.cancel"
	err := g.c.Do.Do(ctx, x, nil, func(ctx context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
		if err := p.Check(); err != nil {
			return ambit.Refused, "no permit", err
		}
		c, err := g.dial(ctx, s.a.db)
		if err != nil {
			return g.unreached(ctx, p.Action(), err)
		}
		defer g.drop(c)
		c.SetDeadline(time.Now().Add(g.c.Limits.Handshake))
		b, err := (&pgproto3.CancelRequest{ProcessID: s.up.PID, SecretKey: s.up.Key}).Encode(nil)
		if err == nil {
			_, err = c.Write(b)
		}
		if err != nil {
			return ambit.OutcomeUnknown, err.Error(), err
		}
		// The server closes once it has told the other process.
		var end [1]byte
		_, _ = c.Read(end[:])
		return ambit.Performed, "", nil
	})
	_ = err // an agent that cancels is never answered; a refusal is in the log
}

// enlist makes a session one that can be cancelled, and says by what.
func (g *Gate) enlist(s *session) cancelKey {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		k := newCancelKey()
		if g.sessions[k] == nil {
			g.sessions[k] = s
			return k
		}
	}
}

func (g *Gate) delist(k cancelKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, k)
}
