package pgwire

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Bounds of the answer to one message of statements.
const (
	answerQuota = 64 << 20 // of all its messages, in bytes; what a row costs in memory counts
	rowCost     = 32       // of a row, beside its bytes
	valueCost   = 16       // of a value

	maxParams = 256      // different settings that a server reports
	maxParam  = 16 << 10 // bytes of the name and value of one
)

// answer is what has come of an answer.
type answer struct {
	quota  int
	params map[string]string // what the server reports goes here, whenever it comes

	rows    [][]string // of the last statement
	columns int        // of its rows
	open    bool       // rows may follow
	over    bool       // a statement came to its end
	failed  *Error     // nothing but the end may follow
	ready   bool
	status  byte
}

func (a *answer) note(kind byte, body []byte) error {
	switch kind {
	case 'N', 'A':
		return nil
	case 'S':
		return a.setting(body)
	case 'Z':
		return a.end(body)
	case 'E':
		return a.fail(body)
	}
	if a.failed != nil {
		return Unexpected(kind, nil)
	}
	switch kind {
	case 'T':
		return a.describe(body)
	case 'D':
		return a.row(body)
	case 'C', 'I':
		if !a.open {
			a.rows = nil
		}
		a.open, a.over = false, true
		return nil
	}
	return Unexpected(kind, nil)
}

func (a *answer) describe(body []byte) error {
	var m pgproto3.RowDescription
	if m.Decode(body) != nil {
		return unreadable('T')
	}
	if a.open {
		return Unexpected('T', nil)
	}
	a.open, a.rows, a.columns = true, nil, len(m.Fields)
	return nil
}

func (a *answer) row(body []byte) error {
	if !a.open {
		return Unexpected('D', nil)
	}
	if a.quota -= rowCost + valueCost*a.columns; a.quota < 0 {
		return errors.New("the database sent more rows than an answer may hold")
	}
	var m pgproto3.DataRow
	if m.Decode(body) != nil {
		return unreadable('D')
	}
	if len(m.Values) != a.columns {
		return fmt.Errorf("the database sent a row of %d columns, and said before that there are %d", len(m.Values), a.columns)
	}
	row := make([]string, len(m.Values))
	for i, v := range m.Values {
		row[i] = string(v)
	}
	a.rows = append(a.rows, row)
	return nil
}

// fail takes an error. A server that shuts down says so after the error of the statement.
func (a *answer) fail(body []byte) error {
	err := Unexpected('E', body)
	bad, ok := err.(*Error)
	if !ok || bad.fatal || a.failed != nil {
		return err
	}
	a.failed, a.open = bad, false
	return nil
}

func (a *answer) end(body []byte) error {
	var m pgproto3.ReadyForQuery
	if m.Decode(body) != nil {
		return unreadable('Z')
	}
	// Without an end of something it is not of this answer, and no rows would be read into it.
	if s := m.TxStatus; a.open || !a.over && a.failed == nil || s != 'I' && s != 'T' && s != 'E' {
		return Unexpected('Z', nil)
	}
	a.ready, a.status = true, m.TxStatus
	return nil
}

func (a *answer) setting(body []byte) error {
	var m pgproto3.ParameterStatus
	if m.Decode(body) != nil {
		return unreadable('S')
	}
	// These are kept for as long as the connection lives.
	_, known := a.params[m.Name]
	if len(m.Name)+len(m.Value) > maxParam || !known && len(a.params) >= maxParams {
		return errors.New("the database reports more settings than it can have")
	}
	a.params[m.Name] = m.Value
	return nil
}

// spoiled is the error of an answer that did not come to its end. It is none of the
// server's when that is not the last word: what became of the statement is not known then.
func (a *answer) spoiled(err error) error {
	if bad, ok := err.(*Error); ok && bad.fatal {
		return bad
	}
	if bad, ok := err.(*Error); ok {
		err = errors.New(bad.Error())
	}
	if a.failed != nil {
		err = fmt.Errorf("%w (after it had refused a statement: %s)", err, a.failed.Error())
	}
	return err
}
