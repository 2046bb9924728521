package pgwire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Config says where a client connects and as whom.
type Config struct {
	// Dial reaches the server. It is called again for a CancelRequest, possibly after the
	// client was closed.
	Dial           func(context.Context) (net.Conn, error)
	TLS            *tls.Config // nil for plain text
	User, Database string
	Password       []byte            // of which no copy is kept
	Settings       map[string]string // of the session
	Unproved       bool              // a server that asks for no password is believed, although there is one
}

const (
	closeTime   = time.Second      // to say that a client goes
	cancelTime  = 15 * time.Second // to have the server stop, and to read what is on its way
	cancelBytes = 16 << 20         // of that
)

// Client sends statements by the simple protocol. One goroutine at a time may use it. The
// zero value is closed.
type Client struct {
	conn    *Conn
	dialled net.Conn // below TLS
	again   func(context.Context) (net.Conn, error)
	tls     *tls.Config
	cut     bool // a message was sent in part
	status  byte // of ReadyForQuery; 0 when it is closed
	quota   int  // of one answer
}

// Open connects and logs in. When ctx ends it ends at once.
func Open(ctx context.Context, f Config) (*Client, error) {
	dialled, err := f.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &Client{dialled: dialled, again: f.Dial, tls: f.TLS, quota: answerQuota}
	if err := c.start(ctx, f); err != nil {
		dialled.Close()
		return nil, late(ctx, err)
	}
	c.status = 'I'
	return c, nil
}

func (c *Client) start(ctx context.Context, f Config) error {
	l := Login{Params: maps.Clone(f.Settings), Password: f.Password, Unproved: f.Unproved}
	if l.Params == nil {
		l.Params = map[string]string{}
	}
	l.Params["user"], l.Params["database"] = f.User, f.Database
	c.conn = NewConn(c.dialled)
	if f.TLS != nil {
		t, err := Encrypt(ctx, c.dialled, f.TLS)
		if err != nil {
			return err
		}
		c.conn, l.Binding = NewConn(t), endPoint(t)
	}
	defer watch(ctx, c.dialled)()
	return gone(c.conn.Start(l))
}

// Closed says whether the connection is over.
func (c *Client) Closed() bool { return c.status == 0 }

// Status is that of the transaction: 'I' none, 'T' in one, 'E' in one that failed; 0 when
// the connection is over.
func (c *Client) Status() byte { return c.status }

// Parameter is what the server reported last of a setting, "" when it did not.
func (c *Client) Parameter(name string) string {
	if c.conn == nil {
		return ""
	}
	return c.conn.Params[name]
}

// Close tells the server that the client goes, and waits for nothing.
func (c *Client) Close() {
	if c.Closed() {
		return
	}
	c.status = 0
	c.dialled.SetDeadline(time.Now().Add(closeTime))
	c.terminate()
	c.dialled.Close()
}

func (c *Client) terminate() {
	if b, err := (&pgproto3.Terminate{}).Encode(nil); err == nil {
		_, _ = c.conn.Net.Write(b) // the server notices in any case
	}
}

// Query sends statements as one message, and returns the rows of the last one as text;
// NULL is "". What the server refuses is an [*Error], and the connection stays when that
// is not fatal. With any other error it is closed, but for one of a statement that was
// never sent. When ctx ends, so does the wait.
func (c *Client) Query(ctx context.Context, sql string) ([][]string, error) {
	switch {
	case c.Closed():
		return nil, errors.New("the connection to the database is closed")
	case strings.ContainsRune(sql, 0):
		return nil, errors.New("a statement holds a zero byte") // the server would read another one
	case ctx.Err() != nil:
		return nil, late(ctx, ctx.Err())
	}
	end := watch(ctx, c.dialled)
	rows, err := c.exchange(sql)
	end()
	if err == nil {
		return rows, nil
	}
	bad, ok := err.(*Error) // of the server, and its last word
	switch {
	case ok && bad.fatal:
		c.status = 0
		c.dialled.Close()
	case !ok && ctx.Err() != nil:
		err = late(ctx, err)
		c.status = 0
		go c.abandon()
	case !ok:
		err = late(ctx, err)
		c.status = 0
		c.dialled.Close()
	}
	return nil, err
}

// exchange sends a Query and reads until the server is ready. An [*Error] that it returns
// is followed by nothing.
func (c *Client) exchange(sql string) ([][]string, error) {
	b, err := (&pgproto3.Query{String: sql}).Encode(nil)
	if err != nil {
		return nil, err
	}
	if err := c.conn.quiet(); err != nil {
		return nil, err
	}
	if _, err := c.conn.Net.Write(b); err != nil {
		c.cut = true
		return nil, err
	}
	a := answer{quota: c.quota, params: c.conn.Params}
	for !a.ready {
		kind, body, err := c.conn.ReadWithin(&a.quota)
		if err != nil {
			return nil, a.spoiled(gone(err))
		}
		if err := a.note(kind, body); err != nil {
			return nil, a.spoiled(err)
		}
	}
	c.status = a.status
	if a.failed != nil {
		return nil, a.failed
	}
	return a.rows, nil
}

// abandon ends a connection for whose answer there is no more time. The server is asked to
// stop: it would go on, and hold its locks, until it had something to say.
func (c *Client) abandon() {
	defer c.dialled.Close()
	if c.cut {
		return // the server waits for the rest, and would take what is said now for it
	}
	end := time.Now().Add(cancelTime)
	ctx, stop := context.WithDeadline(context.Background(), end)
	defer stop()
	_ = c.cancel(ctx) // the statement's own time limit ends it too
	c.dialled.SetDeadline(end)
	c.terminate()
	// What is on its way is read: to close before would make the server's side fail.
	_, _ = io.CopyN(io.Discard, c.conn.Net, cancelBytes)
}

func (c *Client) cancel(ctx context.Context) error {
	if len(c.conn.Key) == 0 {
		return nil
	}
	dialled, err := c.again(ctx)
	if err != nil {
		return err
	}
	defer dialled.Close()
	over := dialled
	if c.tls != nil { // whoever listens could stop other statements
		if over, err = Encrypt(ctx, dialled, c.tls); err != nil {
			return err
		}
	}
	defer watch(ctx, dialled)()
	b, err := (&pgproto3.CancelRequest{ProcessID: c.conn.PID, SecretKey: c.conn.Key}).Encode(nil)
	if err != nil {
		return err
	}
	if _, err := over.Write(b); err != nil {
		return err
	}
	var told [1]byte
	_, _ = over.Read(told[:]) // it closes once it has told the other process
	return nil
}
