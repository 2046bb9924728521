package sql

import (
	"github.com/jackc/pgx/v5/pgproto3"
)

// found is what a database answered.
type found struct {
	types []uint32 // of parameters
	names []string // of columns
	rows  [][]string
}

// maxAnswer bounds an answer of the database, in bytes: it may go on for as long as there
// is time.
const maxAnswer = 16 << 20

// maxFound is how many rows are kept: a table has at most 1600 columns, of which each
// is a row of an answer.
const maxFound = 1600

// ask sends messages that end with one that the database is ready after, and reads
// its answer, of a few rows.
func (u *upstream) ask(ms ...pgproto3.FrontendMessage) (got found, err error) {
	var b []byte
	for _, m := range ms {
		if b, err = m.Encode(b); err != nil {
			return got, err
		}
	}
	if _, err := u.Net.Write(b); err != nil {
		return got, err
	}
	var failed error
	for quota := maxAnswer; ; {
		kind, body, err := u.ReadWithin(&quota)
		if err != nil {
			return got, err
		}
		switch kind {
		case 'E':
			failed = unexpected(kind, body)
		case 'Z':
			return got, failed
		default:
			if err := got.add(kind, body); err != nil {
				return got, err
			}
		}
	}
}

func (f *found) add(kind byte, body []byte) error {
	switch kind {
	case 't':
		var m pgproto3.ParameterDescription
		if err := m.Decode(body); err != nil {
			return err
		}
		f.types = append(f.types, m.ParameterOIDs...)
	case 'T':
		var m pgproto3.RowDescription
		if err := m.Decode(body); err != nil {
			return err
		}
		f.names = nil
		for _, c := range m.Fields {
			f.names = append(f.names, string(c.Name))
		}
	case 'D':
		var m pgproto3.DataRow
		if err := m.Decode(body); err != nil {
			return err
		}
		var row []string
		for _, v := range m.Values {
			text := "NULL"
			if v != nil {
				text = clip(string(v), 4*maxShownCell)
			}
			row = append(row, text)
		}
		if len(f.rows) < maxFound {
			f.rows = append(f.rows, row)
		}
	}
	return nil
}
