package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"ambit"
	"ambit/store/row"
)

const taskColumns = `id, agent, owner, purpose, spiffe, on_behalf_of, coalesce(parent, ''), command, workspace, pid,
	started, expires, state, ended, ended_by, end_why, exit_status, grants, key, audiences, process`

func scanTask(r scanner) (t row.Task, err error) {
	err = r.Scan(&t.ID, &t.Agent, &t.Owner, &t.Purpose, &t.SPIFFE, &t.OnBehalfOf, &t.Parent, words{&t.Command}, &t.Workspace, &t.PID,
		at{&t.Started}, at{&t.Expires}, &t.State, at{&t.Ended}, &t.EndedBy, &t.EndWhy, &t.Exit, digest{&t.Grants}, digest{&t.Key}, words{&t.Audiences}, &t.Process)
	return t, err
}

// AddTask registers the task and its agent, whose owner and purpose become
// those of the task, in one durable step. An id that was ever used gives
// row.ErrExists.
func (s *Store) AddTask(ctx context.Context, t row.Task) error {
	command, err := writeWords(t.Command)
	if err != nil {
		return s.explain("keep task", err)
	}
	audiences, err := writeWords(t.Audiences)
	if err != nil {
		return s.explain("keep task", err)
	}
	return s.write(ctx, "keep task "+string(t.ID), func(tx *sql.Tx) error {
		_, err := s.exec(ctx, tx, `INSERT INTO agents (name, owner, purpose, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?4)
			ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, purpose = excluded.purpose, last_seen = excluded.last_seen`,
			t.Agent, t.Owner, t.Purpose, micros(t.Started))
		if err != nil {
			return err
		}
		_, err = s.exec(ctx, tx, `INSERT INTO tasks (id, agent, owner, purpose, spiffe, on_behalf_of, parent, command, workspace, pid,
			started, expires, state, grants, key, audiences, process) VALUES (?, ?, ?, ?, ?, ?, nullif(?, ''), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			string(t.ID), t.Agent, t.Owner, t.Purpose, t.SPIFFE, t.OnBehalfOf, string(t.Parent), command, t.Workspace, t.PID,
			micros(t.Started), micros(t.Expires), string(t.State), t.Grants[:], t.Key[:], audiences, t.Process)
		if err != nil {
			return err
		}
		return s.raise(ctx, tx, t.Started)
	})
}

// EndTask moves a live task to one of the states of being over. A task that is
// over already gives row.ErrMoved, an unknown one row.ErrMissing.
func (s *Store) EndTask(ctx context.Context, id ambit.TaskID, e row.TaskEnd) error {
	if e.State == row.TaskLive {
		return fmt.Errorf("cannot end task %s: %q is no end", id, e.State)
	}
	return s.write(ctx, "end task "+string(id), func(tx *sql.Tx) error {
		r, err := s.exec(ctx, tx, `UPDATE tasks SET state = ?, ended = ?, ended_by = ?, end_why = ?, exit_status = ? WHERE id = ? AND state = 'live'`,
			string(e.State), micros(e.At), e.By, e.Why, e.Exit, string(id))
		if err != nil {
			return err
		}
		if err := moved(tx, r, "tasks", "id", string(id)); err != nil {
			return err
		}
		return s.raise(ctx, tx, e.At)
	})
}

// Task returns one task, or row.ErrMissing.
func (s *Store) Task(ctx context.Context, id ambit.TaskID) (row.Task, error) {
	l, err := s.tasks(ctx, `WHERE id = ?`, string(id))
	if err != nil {
		return row.Task{}, err
	}
	if len(l) == 0 {
		return row.Task{}, fmt.Errorf("cannot find task %q: %w", id, row.ErrMissing)
	}
	return l[0], nil
}

// LiveTasks returns all tasks in the state live, oldest first. Some may be
// past their end: the store does not read the clock.
func (s *Store) LiveTasks(ctx context.Context) ([]row.Task, error) {
	return s.tasks(ctx, `WHERE state = 'live' ORDER BY started, id`)
}

// RecentTasks returns the newest tasks in any state, at most the given number,
// of one agent or, with "", of all.
func (s *Store) RecentTasks(ctx context.Context, agent string, most int) ([]row.Task, error) {
	return s.tasks(ctx, `WHERE ?1 = '' OR agent = ?1 ORDER BY started DESC, id LIMIT ?2`, agent, most)
}

func (s *Store) tasks(ctx context.Context, where string, args ...any) (l []row.Task, err error) {
	err = s.query(ctx, "read tasks", func(r scanner) error {
		t, err := scanTask(r)
		l = append(l, t)
		return err
	}, `SELECT `+taskColumns+` FROM tasks `+where, args...)
	return l, err
}

// Clock returns the latest time that was ever acted on, zero at the start.
func (s *Store) Clock(ctx context.Context) (high time.Time, err error) {
	err = s.query(ctx, "read clock", func(r scanner) error { return r.Scan(at{&high}) }, `SELECT high FROM clock`)
	return high, err
}

// RaiseClock keeps t as the latest time acted on, when it is.
func (s *Store) RaiseClock(ctx context.Context, t time.Time) error {
	return s.write(ctx, "keep clock", func(tx *sql.Tx) error { return s.raise(ctx, tx, t) })
}

func (s *Store) raise(ctx context.Context, tx *sql.Tx, t time.Time) error {
	_, err := s.exec(ctx, tx, `UPDATE clock SET high = max(high, ?)`, micros(t))
	return err
}
