package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// Client speaks the table to a daemon.
type Client struct{ h *http.Client }

var _ Desk = (*Client)(nil)

// NewClient makes a client that dials each connection with dial.
func NewClient(dial func(context.Context) (net.Conn, error)) *Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
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

// Stop ends the daemon when no task is live.
func (c *Client) Stop(ctx context.Context) error { return c.do(ctx, "POST", "/v1/stop", nil, nil) }

// Watch streams questions.
func (c *Client) Watch(ctx context.Context, each func(Question) error) error {
	res, err := c.send(ctx, "GET", "/v1/watch", nil)
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
			return fmt.Errorf("cannot watch: the daemon ended the stream: %w", err)
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

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	res, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("cannot read the daemon's answer: %w", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var b bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&b).Encode(in); err != nil {
			return nil, err
		}
	}
	// The host is never looked up: every connection goes to the socket.
	req, err := http.NewRequestWithContext(ctx, method, "http://ambit"+path, &b)
	if err != nil {
		return nil, err
	}
	res, err := c.h.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the daemon: %w", err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	f := &Fault{Status: res.StatusCode}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(f); err != nil || f.Msg == "" {
		f.Msg = "the daemon answered " + res.Status
	}
	return nil, f
}
