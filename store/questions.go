package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"ambit/store/row"
)

const questionColumns = `ticket, task, digest, action, decision, preview, asked, expires, state, by, why, answered, spent`

// AddQuestion keeps a new question. A ticket that was used gives row.ErrExists.
func (s *Store) AddQuestion(ctx context.Context, q row.Question) error {
	return s.write(ctx, "keep question "+q.Ticket, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO questions (`+questionColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', 0, 0)`,
			q.Ticket, string(q.Task), q.Digest[:], q.Action, q.Decision, q.Preview, micros(q.Asked), micros(q.Expires), string(q.State))
		return err
	})
}

// MoveQuestion changes a question's state, durably, when it is in the state
// that m leaves; otherwise it gives row.ErrMoved, or row.ErrMissing. Exactly
// one of several callers with the same move succeeds.
func (s *Store) MoveQuestion(ctx context.Context, m row.QuestionMove) error {
	stamp := "answered"
	if m.To == row.QuestionSpent {
		stamp = "spent"
	}
	return s.write(ctx, "move question "+m.Ticket, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `UPDATE questions SET state = ?1, `+stamp+` = ?2,
			by = CASE ?3 WHEN '' THEN by ELSE ?3 END, why = CASE ?4 WHEN '' THEN why ELSE ?4 END WHERE ticket = ?5 AND state = ?6`,
			string(m.To), micros(m.At), m.By, m.Why, m.Ticket, string(m.From))
		if err != nil {
			return err
		}
		return moved(tx, r, "questions", "ticket", m.Ticket)
	})
}

// Question returns one question, or row.ErrMissing.
func (s *Store) Question(ctx context.Context, ticket string) (row.Question, error) {
	l, err := s.questions(ctx, `WHERE ticket = ?`, ticket)
	if err != nil {
		return row.Question{}, err
	}
	if len(l) == 0 {
		return row.Question{}, fmt.Errorf("cannot find question %q: %w", ticket, row.ErrMissing)
	}
	return l[0], nil
}

// QuestionsSince returns the questions that were asked or end after t, oldest
// first.
func (s *Store) QuestionsSince(ctx context.Context, t time.Time) ([]row.Question, error) {
	return s.questions(ctx, `WHERE asked >= ?1 OR expires >= ?1 ORDER BY asked, ticket`, micros(t))
}

func (s *Store) questions(ctx context.Context, where string, args ...any) (l []row.Question, err error) {
	err = s.query(ctx, "read questions", func(r scanner) error {
		var q row.Question
		err := r.Scan(&q.Ticket, &q.Task, digest{&q.Digest}, &q.Action, &q.Decision, &q.Preview, at{&q.Asked}, at{&q.Expires},
			&q.State, &q.By, &q.Why, at{&q.Answered}, at{&q.Spent})
		l = append(l, q)
		return err
	}, `SELECT `+questionColumns+` FROM questions `+where, args...)
	return l, err
}
