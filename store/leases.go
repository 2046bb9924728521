package store

import (
	"context"
	"database/sql"
	"time"

	"ambit"
	"ambit/store/row"
)

const leaseColumns = `id, task, service, provider, handle, state, minted, expires, ended, sealed, by, why, remains`

// AddLease keeps a new lease. An id that was used gives row.ErrExists.
func (s *Store) AddLease(ctx context.Context, l row.Lease) error {
	return s.write(ctx, "keep lease "+l.ID, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO leases (`+leaseColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, '', '', '')`,
			l.ID, string(l.Task), l.Service, l.Provider, l.Handle, string(l.State), micros(l.Minted), micros(l.Expires), blob(l.Sealed))
		return err
	})
}

// MoveLease changes a lease's state, durably, when it is in the state that m
// leaves; otherwise it gives row.ErrMoved, or row.ErrMissing.
func (s *Store) MoveLease(ctx context.Context, m row.LeaseMove) error {
	var ended time.Time
	if m.To.Over() {
		ended = m.At
	}
	return s.write(ctx, "move lease "+m.ID, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `UPDATE leases SET state = ?1, ended = max(ended, ?2),
			handle = CASE ?3 WHEN '' THEN handle ELSE ?3 END, expires = CASE ?4 WHEN 0 THEN expires ELSE ?4 END,
			sealed = CASE WHEN ?8 THEN x'' WHEN length(?7) = 0 THEN sealed ELSE ?7 END, by = ?9, why = ?10, remains = ?11 WHERE id = ?5 AND state = ?6`,
			string(m.To), micros(ended), m.Handle, micros(m.Expires), m.ID, string(m.From), blob(m.Sealed), m.To.Over(), m.By, m.Why, m.Remains)
		if err != nil {
			return err
		}
		return moved(tx, r, "leases", "id", m.ID)
	})
}

// OpenLeases returns every lease that is neither dead nor written off, oldest first:
// after a crash these may exist at their providers.
func (s *Store) OpenLeases(ctx context.Context) ([]row.Lease, error) {
	return s.leases(ctx, `WHERE state NOT IN ('dead', 'written-off') ORDER BY minted, id`)
}

// RecentLeases returns the newest leases in any state, at most the given number.
func (s *Store) RecentLeases(ctx context.Context, most int) ([]row.Lease, error) {
	return s.leases(ctx, `ORDER BY minted DESC, id LIMIT ?`, most)
}

// Lease returns one lease, or row.ErrMissing.
func (s *Store) Lease(ctx context.Context, id string) (row.Lease, error) {
	l, err := s.leases(ctx, `WHERE id = ?`, id)
	if err == nil && len(l) == 0 {
		err = row.ErrMissing
	}
	if err != nil {
		return row.Lease{}, err
	}
	return l[0], nil
}

// TaskLeases returns all leases of one task, oldest first.
func (s *Store) TaskLeases(ctx context.Context, task ambit.TaskID) ([]row.Lease, error) {
	return s.leases(ctx, `WHERE task = ? ORDER BY minted, id`, string(task))
}

func (s *Store) leases(ctx context.Context, where string, args ...any) (l []row.Lease, err error) {
	err = s.query(ctx, "read leases", func(r scanner) error {
		var v row.Lease
		err := r.Scan(&v.ID, &v.Task, &v.Service, &v.Provider, &v.Handle, &v.State, at{&v.Minted}, at{&v.Expires}, at{&v.Ended}, &v.Sealed, &v.By, &v.Why, &v.Remains)
		if len(v.Sealed) == 0 {
			v.Sealed = nil
		}
		l = append(l, v)
		return err
	}, `SELECT `+leaseColumns+` FROM leases `+where, args...)
	return l, err
}

// KeepService keeps what makes a task's credentials for a service. Of a service
// that is kept already it changes nothing.
func (s *Store) KeepService(ctx context.Context, v row.Service) error {
	return s.write(ctx, "keep service "+v.Service, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO services (task, service, provider, expires, sealed) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			string(v.Task), v.Service, v.Provider, micros(v.Expires), v.Sealed)
		return err
	})
}

// ForgetService deletes what KeepService kept, if anything.
func (s *Store) ForgetService(ctx context.Context, task ambit.TaskID, service string) error {
	return s.write(ctx, "forget service "+service, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM services WHERE task = ? AND service = ?`, string(task), service)
		return err
	})
}

// Services returns everything that KeepService kept.
func (s *Store) Services(ctx context.Context) (l []row.Service, err error) {
	err = s.query(ctx, "read services", func(r scanner) error {
		var v row.Service
		err := r.Scan(&v.Task, &v.Service, &v.Provider, at{&v.Expires}, &v.Sealed)
		l = append(l, v)
		return err
	}, `SELECT task, service, provider, expires, sealed FROM services ORDER BY task, service`)
	return l, err
}
