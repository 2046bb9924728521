package pgwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Error is what the server said of a failure. The parts of an ErrorResponse that could
// repeat a statement's values are left out.
type Error struct {
	Severity string // in the server's language
	Code     string // SQLSTATE
	Message  string // as it was sent, of at most 16 KiB
	fatal    bool   // the server ends the connection
}

// Error is one line: severity, message and SQLSTATE.
func (e *Error) Error() string {
	return shown(e.Severity, 20) + ": " + shown(e.Message, 1000) + " (SQLSTATE " + shown(e.Code, 5) + ")"
}

// shown shows at most n bytes of s, without what moves a terminal.
func shown(s string, n int) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsGraphic(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, strings.ToValidUTF8(s[:min(len(s), n)], ""))
}

// Unexpected is the error of a message that does not belong where it is: the server's own
// [Error] when it is one.
func Unexpected(kind byte, body []byte) error {
	if kind == 'E' {
		var m pgproto3.ErrorResponse
		if m.Decode(body) == nil {
			return newError(&m)
		}
	}
	return fmt.Errorf("the database sent an unexpected message %q", kind)
}

func newError(m *pgproto3.ErrorResponse) *Error {
	word := m.SeverityUnlocalized
	if word == "" {
		word = m.Severity
	}
	// Errors are kept: what could not be ended is remembered with its reason.
	return &Error{Severity: begin(m.Severity, 64), Code: begin(m.Code, 5), Message: begin(m.Message, 16<<10), fatal: word == "FATAL" || word == "PANIC"}
}

// begin is a copy of the first n bytes of s.
func begin(s string, n int) string { return strings.Clone(s[:min(len(s), n)]) }

// unreadable is the error of a message that is none of its kind.
func unreadable(kind byte) error {
	return fmt.Errorf("the database sent a message %q that cannot be read", kind)
}

// gone says what the end of the stream means.
func gone(err error) error {
	if (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the database ended the connection: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// late says that the context is over, when that is why nothing more was read or written.
func late(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ctx.Err())) {
		return fmt.Errorf("the database did not answer in time: %w", ctx.Err())
	}
	return err
}
