package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// Client speaks the table to a daemon.
type Client struct{ h *http.Client }

var _ Desk = (*Client)(nil)

// NewClient makes a client that dials each connection with dial. A daemon that goes
// away while it is asked is asked again, by another connection, when it is certain that
// it did nothing; else the error is [ErrLost].
func NewClient(dial func(context.Context) (net.Conn, error)) *Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := dial(ctx)
			if err != nil {
				return nil, unreachable{err}
			}
			return c, nil
		},
		// A body is sent when the daemon says that it reads it: until then nothing was done.
		ExpectContinueTimeout: againFor,
	}
	return &Client{h: &http.Client{Transport: t}}
}

// Close ends idle connections.
func (c *Client) Close() { c.h.CloseIdleConnections() }

// Status asks how the daemon is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, "GET", "/v1/status", nil, &s)
}

// Trust asks for what verifies the daemon's identities.
func (c *Client) Trust(ctx context.Context) (t Trust, err error) {
	return t, c.do(ctx, "GET", "/v1/trust", nil, &t)
}

// Tasks lists live tasks, or all.
func (c *Client) Tasks(ctx context.Context, all bool) (t []Task, err error) {
	return t, c.do(ctx, "GET", "/v1/tasks"+query(all), nil, &t)
}

// Revoke ends a task or an agent's tasks.
func (c *Client) Revoke(ctx context.Context, r Revoke) (d Revoked, err error) {
	return d, c.do(ctx, "POST", "/v1/revoke", r, &d)
}

// Leases lists leases that are not over, or all.
func (c *Client) Leases(ctx context.Context, all bool) (l []Lease, err error) {
	return l, c.do(ctx, "GET", "/v1/leases"+query(all), nil, &l)
}

// WriteOff has a lease tried no more.
func (c *Client) WriteOff(ctx context.Context, w WriteOff) (l Lease, err error) {
	return l, c.do(ctx, "POST", "/v1/leases/write-off", w, &l)
}

// Questions lists open questions, or all.
func (c *Client) Questions(ctx context.Context, all bool) (q []Question, err error) {
	return q, c.do(ctx, "GET", "/v1/questions"+query(all), nil, &q)
}

// Question shows one.
func (c *Client) Question(ctx context.Context, ticket string) (q Question, err error) {
	return q, c.do(ctx, "GET", "/v1/questions/"+url.PathEscape(ticket), nil, &q)
}

// Resolve answers one.
func (c *Client) Resolve(ctx context.Context, r Resolve) (q Question, err error) {
	return q, c.do(ctx, "POST", "/v1/resolve", r, &q)
}

// Stop ends the daemon when no task is live. One that has ended meanwhile is no error.
func (c *Client) Stop(ctx context.Context) error {
	err := c.do(ctx, "POST", "/v1/stop", nil, nil)
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}

// Watch streams questions.
func (c *Client) Watch(ctx context.Context, each func(Question) error) error {
	res, _, err := c.send(ctx, "GET", "/v1/watch", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	d := json.NewDecoder(res.Body)
	for {
		var q Question
		if err := d.Decode(&q); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("cannot watch: %w", ErrLost)
		}
		if err := each(q); err != nil {
			return err
		}
	}
}

func query(all bool) string {
	if all {
		return "?all=1"
	}
	return ""
}
