package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Errors of daemons that are not there.
var (
	// ErrLost is one that went away before its answer was there.
	ErrLost = errors.New("the daemon ended before it answered")
	// ErrNobody says that none could be asked.
	ErrNobody = errors.New("no daemon is there")
)

// How long a daemon that goes away is asked again, and after which time.
const (
	againFor   = 10 * time.Second
	againAfter = 10 * time.Millisecond
)

// unreachable is an error of the way to the daemon: nobody was asked.
type unreachable struct{ error }

// Is says that it is [ErrNobody].
func (unreachable) Is(target error) bool { return target == ErrNobody }

// Unwrap returns the reason.
func (u unreachable) Unwrap() error { return u.error }

// do asks, until a daemon answers: one that ends can have taken the connection
// and not have read it. What it may have done is not asked for twice.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	for end := time.Now().Add(againFor); ; {
		asked, err := c.once(ctx, method, path, in, out)
		switch {
		case !errors.Is(err, ErrLost) || ctx.Err() != nil:
			return err
		case asked:
			return fmt.Errorf("%w, and whether it was done is not known: `ambit log` says it, and the same command again does it when it was not", err)
		case time.Now().After(end):
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(againAfter):
		}
	}
}

// once asks one daemon. asked says that it may have done it, which to be asked
// for what it only shows never counts as.
func (c *Client) once(ctx context.Context, method, path string, in, out any) (asked bool, err error) {
	res, asked, err := c.send(ctx, method, path, in)
	if err != nil {
		return asked, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return method != http.MethodGet, fmt.Errorf("%w: %w", ErrLost, err)
	case out == nil:
		return true, nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return true, fmt.Errorf("cannot read the daemon's answer: %w", err)
	}
	return true, nil
}

// content is the body of a request, and knows whether it is on its way. It has no method
// but Read: whatever went round that would be sent, and be taken for not sent.
type content struct {
	b    *bytes.Reader
	sent atomic.Bool
}

// Read implements io.Reader.
func (b *content) Read(p []byte) (int, error) {
	b.sent.Store(true)
	return b.b.Read(p)
}

// send asks and returns the answer's beginning. asked is as for once.
func (c *Client) send(ctx context.Context, method, path string, in any) (res *http.Response, asked bool, err error) {
	body := &content{}
	// The host is never looked up: every connection goes to the socket.
	req, err := http.NewRequestWithContext(ctx, method, "http://ambit"+path, nil)
	if err != nil {
		return nil, false, err
	}
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, false, err
		}
		body.b = bytes.NewReader(b)
		req.Body, req.ContentLength = io.NopCloser(body), int64(len(b))
		req.Header.Set("Expect", "100-continue")
	}
	res, err = c.h.Do(req)
	if err != nil {
		asked = method != http.MethodGet && (in == nil || body.sent.Load())
		if _, nobody := errors.AsType[unreachable](err); nobody || ctx.Err() != nil {
			return nil, asked, fmt.Errorf("cannot reach the daemon: %w", err)
		}
		return nil, asked, fmt.Errorf("%w: %w", ErrLost, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, true, nil
	}
	defer res.Body.Close()
	f := &Fault{Status: res.StatusCode}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(f); err != nil || f.Msg == "" {
		f.Msg = "the daemon answered " + res.Status
	}
	return nil, true, f
}
