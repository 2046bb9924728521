package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"ambit/store/row"
)

// Agents returns all registered agents by name.
func (s *Store) Agents(ctx context.Context) ([]row.Agent, error) {
	return s.agents(ctx, `ORDER BY name`)
}

// Agent returns one agent, or row.ErrMissing.
func (s *Store) Agent(ctx context.Context, name string) (row.Agent, error) {
	l, err := s.agents(ctx, `WHERE name = ?`, name)
	if err != nil {
		return row.Agent{}, err
	}
	if len(l) == 0 {
		return row.Agent{}, fmt.Errorf("cannot find agent %q: %w", name, row.ErrMissing)
	}
	return l[0], nil
}

func (s *Store) agents(ctx context.Context, where string, args ...any) (l []row.Agent, err error) {
	err = s.query(ctx, "read agents", func(r scanner) error {
		var a row.Agent
		err := r.Scan(&a.Name, &a.Owner, &a.Purpose, at{&a.FirstSeen}, at{&a.LastSeen}, at{&a.Barred}, &a.BarredBy, &a.BarWhy)
		l = append(l, a)
		return err
	}, `SELECT name, owner, purpose, first_seen, last_seen, barred, barred_by, bar_why FROM agents `+where, args...)
	return l, err
}

// BarAgent keeps an agent from starting tasks, or lets it again when at is
// zero. An agent that never ran gives row.ErrMissing.
func (s *Store) BarAgent(ctx context.Context, name, by, why string, at time.Time) error {
	return s.write(ctx, "bar agent "+name, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `UPDATE agents SET barred = ?, barred_by = ?, bar_why = ? WHERE name = ?`, micros(at), by, why, name)
		if err != nil {
			return err
		}
		return moved(tx, r, "agents", "name", name)
	})
}

// AddRevocation keeps who ended what and why.
func (s *Store) AddRevocation(ctx context.Context, v row.Revocation) error {
	return s.write(ctx, "keep revocation", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO revocations (kind, name, by, why, at) VALUES (?, ?, ?, ?, ?)`, v.Kind, v.Name, v.By, v.Why, micros(v.At))
		return err
	})
}

// Revocations returns the newest revocations, at most the given number.
func (s *Store) Revocations(ctx context.Context, most int) (l []row.Revocation, err error) {
	err = s.query(ctx, "read revocations", func(r scanner) error {
		var v row.Revocation
		err := r.Scan(&v.Kind, &v.Name, &v.By, &v.Why, at{&v.At})
		l = append(l, v)
		return err
	}, `SELECT kind, name, by, why, at FROM revocations ORDER BY at DESC, rowid DESC LIMIT ?`, most)
	return l, err
}
