package store

import (
	"context"
	"database/sql"
	"time"

	"ambit"
	"ambit/store/row"
)

const leaseColumns = `id, task, service, provider, handle, state, minted, expires, ended`

// AddLease keeps a new lease. An id that was used gives row.ErrExists.
func (s *Store) AddLease(ctx context.Context, l row.Lease) error {
	return s.write(ctx, "keep lease "+l.ID, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO leases (`+leaseColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)`,
			l.ID, string(l.Task), l.Service, l.Provider, l.Handle, string(l.State), micros(l.Minted), micros(l.Expires))
		return err
	})
}

// MoveLease changes a lease's state, durably, when it is in the state that m
// leaves; otherwise it gives row.ErrMoved, or row.ErrMissing.
func (s *Store) MoveLease(ctx context.Context, m row.LeaseMove) error {
	var ended time.Time
	if m.To == row.LeaseDead {
		ended = m.At
	}
	return s.write(ctx, "move lease "+m.ID, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `UPDATE leases SET state = ?1, ended = max(ended, ?2),
			handle = CASE ?3 WHEN '' THEN handle ELSE ?3 END, expires = CASE ?4 WHEN 0 THEN expires ELSE ?4 END WHERE id = ?5 AND state = ?6`,
			string(m.To), micros(ended), m.Handle, micros(m.Expires), m.ID, string(m.From))
		if err != nil {
			return err
		}
		return moved(tx, r, "leases", "id", m.ID)
	})
}

// OpenLeases returns every lease that is not dead, oldest first: after a crash
// these may exist at their providers.
func (s *Store) OpenLeases(ctx context.Context) ([]row.Lease, error) {
	return s.leases(ctx, `WHERE state <> 'dead' ORDER BY minted, id`)
}

// TaskLeases returns all leases of one task, oldest first.
func (s *Store) TaskLeases(ctx context.Context, task ambit.TaskID) ([]row.Lease, error) {
	return s.leases(ctx, `WHERE task = ? ORDER BY minted, id`, string(task))
}

func (s *Store) leases(ctx context.Context, where string, args ...any) (l []row.Lease, err error) {
	err = s.query(ctx, "read leases", func(r scanner) error {
		var v row.Lease
		err := r.Scan(&v.ID, &v.Task, &v.Service, &v.Provider, &v.Handle, &v.State, at{&v.Minted}, at{&v.Expires}, at{&v.Ended})
		l = append(l, v)
		return err
	}, `SELECT `+leaseColumns+` FROM leases `+where, args...)
	return l, err
}
