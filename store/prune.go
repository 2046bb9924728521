package store

import (
	"context"
	"database/sql"
	"time"
)

// Prune forgets tasks that ended before t, with their questions, leases and services,
// and returns how many tasks. A task with a lease that is not over, or with a
// child that is kept, is kept. What happened stays in the log.
func (s *Store) Prune(ctx context.Context, t time.Time) (n int, err error) {
	const over = `SELECT id FROM tasks WHERE state <> 'live' AND ended < ?1
		AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.task = tasks.id AND leases.state NOT IN ('dead', 'written-off'))
		AND NOT EXISTS (SELECT 1 FROM tasks c WHERE c.parent = tasks.id)`
	err = s.write(ctx, "forget old tasks", func(tx *sql.Tx) error {
		for {
			for _, table := range []string{"questions", "leases", "services"} {
				if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE task IN (`+over+`)`, micros(t)); err != nil {
					return err
				}
			}
			r, err := tx.ExecContext(ctx, `DELETE FROM tasks WHERE id IN (`+over+`)`, micros(t))
			if err != nil {
				return err
			}
			gone, err := r.RowsAffected()
			if err != nil || gone == 0 {
				return err
			}
			n += int(gone) // children first; their parents in the next round
		}
	})
	return n, err
}
