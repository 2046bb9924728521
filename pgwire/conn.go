// Package pgwire is the client's side of PostgreSQL's protocol, version 3.0, as far as
// Ambit speaks it: a login that never gives the password away, messages whose sizes are
// bounded, and a client for the administrator's statements. It reads neither the
// environment nor files. The server is not believed: whatever it sends, what is read ends
// with the context, and costs no more memory than the bounds say.
package pgwire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Bounds of what a server may send.
const (
	// MaxMessage is of one message that is read as a whole, in bytes.
	MaxMessage = 1 << 20

	bufferSize   = 16 << 10 // of what is read ahead
	headerSize   = 5        // a message's type and length
	messageCost  = 64       // that a message counts beside its bytes: nobody may send empty ones for ever
	startupQuota = 1 << 20  // of all messages of a login, in bytes
	maxKey       = 256      // bytes of a key to cancel by; version 3.0 has four
)

// Conn is a connection to a server. [Conn.Start] logs in; TLS was spoken before. One
// goroutine may read and another write.
type Conn struct {
	Net    net.Conn
	R      *bufio.Reader
	PID    uint32            // the server's own, for a CancelRequest
	Key    []byte            // likewise
	Params map[string]string // what the server reported at the login
}

// NewConn makes a connection of one that was dialled.
func NewConn(c net.Conn) *Conn {
	return &Conn{Net: c, R: bufio.NewReaderSize(c, bufferSize), Params: map[string]string{}}
}

// Send writes one message.
func (c *Conn) Send(m pgproto3.FrontendMessage) error {
	b, err := m.Encode(nil)
	if err != nil {
		return err
	}
	_, err = c.Net.Write(b)
	return err
}

// Header reads a message's type and the length of its body in bytes.
func (c *Conn) Header() (kind byte, n int, err error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(c.R, h[:]); err != nil {
		return 0, 0, err
	}
	n = int(int32(binary.BigEndian.Uint32(h[1:]))) - 4
	if n < 0 {
		return 0, 0, errors.New("the database sent a message of no possible length")
	}
	return h[0], n, nil
}

// Read reads a whole message of at most [MaxMessage] bytes.
func (c *Conn) Read() (kind byte, body []byte, err error) {
	quota := MaxMessage + messageCost
	return c.ReadWithin(&quota)
}

// ReadWithin reads a message of at most [MaxMessage] bytes that a quota of bytes, of this
// one and others, leaves room for. A message costs 64 bytes more than its body has.
func (c *Conn) ReadWithin(quota *int) (kind byte, body []byte, err error) {
	kind, n, err := c.Header()
	if err != nil {
		return 0, nil, err
	}
	// Nothing is read of it: a length alone must cost no memory.
	if n > MaxMessage {
		return 0, nil, fmt.Errorf("the database sent a message %q of %d bytes, at most %d", kind, n, MaxMessage)
	}
	if *quota -= n + messageCost; *quota < 0 {
		return 0, nil, errors.New("the database sent more than an answer may hold")
	}
	body, err = ReadBody(c.R, n)
	return kind, body, err
}

// quiet refuses a connection with an answer that nobody asked for: it would be taken for
// that of the next statement. What a server may say at any time is none.
func (c *Conn) quiet() error {
	if c.R.Buffered() == 0 {
		return nil
	}
	next, err := c.R.Peek(1)
	if err != nil {
		return err
	}
	switch kind := next[0]; kind {
	case 'N', 'A', 'S', 'E':
		return nil
	default:
		return Unexpected(kind, nil)
	}
}

// ReadBody reads n bytes. What was not received yet is not allocated for: a length
// that promises much and brings little costs little.
func ReadBody(r io.Reader, n int) ([]byte, error) {
	const first = 64 << 10
	b := make([]byte, min(n, first))
	for got := 0; ; {
		k, err := io.ReadFull(r, b[got:])
		if got += k; err != nil {
			return nil, errors.Join(io.ErrUnexpectedEOF, err)
		}
		if got == n {
			return b, nil
		}
		more := make([]byte, min(n, 2*len(b)))
		copy(more, b)
		b = more
	}
}
