package postgres

import (
	"context"
	"errors"
	"fmt"

	"ambit/broker"
	"ambit/pgwire"
)

// creation counts the times that a lease's role may have been made: what makes it was
// sent, and the database did not answer that this failed. A call may try it over more
// than one connection, and an error of the last says nothing of those before.
type creation struct{ open int }

// run runs, inside a transaction, what makes the role. A failure that the database
// itself answers ends the transaction, of which nothing comes into being then.
func (c *creation) run(ctx context.Context, s *session, sql string) ([][]string, error) {
	inside := s.c.Status() == 'T'
	c.open++
	rows, err := s.run(ctx, sql)
	if _, answered := errors.AsType[*pgwire.Error](err); answered && inside {
		c.open--
	}
	return rows, err
}

// explain says of the error of a Mint that no role can have been made, where that is so.
func (c *creation) explain(err error) error {
	if err == nil || c.open > 0 {
		return err
	}
	return fmt.Errorf("%w: %w", broker.ErrNotMade, err)
}
