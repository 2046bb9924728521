package sql

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/pipeline"
)

// Bounds of what a question shows.
const (
	maxShownText = 8 << 10 // bytes of the statement and its parameters
	maxShownRows = 10
	maxShownCell = 80 // bytes of one value
)

// preview shows a person the statement as it will run, its parameters, the tables,
// and what it would touch. Nothing in it can steer a terminal or reorder the text.
func (r *run) preview(ctx context.Context) string {
	var b strings.Builder
	for i := range r.list {
		// Marked, so that no line of the statement passes for one of ours.
		b.WriteString("> " + strings.ReplaceAll(lines(r.list[i].Text, maxShownText), "\n", "\n> ") + ";\n")
	}
	if r.params.given {
		fmt.Fprintf(&b, "parameters: %s\n", printable(r.params.text, maxShownText))
	}
	for i := range r.acts {
		x := &r.acts[i]
		fmt.Fprintf(&b, "  %s %s %s", x.Effect.Worst(), x.Operation, printable(strings.Join(x.Resource.Segments, "."), 160))
		if c := x.Args["columns"]; c != "" && c != "*" {
			fmt.Fprintf(&b, " (%s)", printable(c, 160))
		}
		b.WriteByte('\n')
	}
	for i := range r.list {
		for _, why := range r.list[i].Because {
			fmt.Fprintf(&b, "  it %s\n", printable(why, 160))
		}
	}
	b.WriteString(r.touched(ctx))
	if r.s.wrote {
		b.WriteString("the session has changed something and not committed it: that is not counted here\n")
	}
	return b.String()
}

// touched finds the rows that the statement would touch, as a question of its own:
// in a transaction that only reads and is rolled back, on a connection of its own.
func (r *run) touched(ctx context.Context) string {
	if len(r.list) != 1 || r.params.digest != "" {
		return ""
	}
	count, rows, ok := r.s.g.c.Reader.Preview(r.list[0])
	if !ok {
		return ""
	}
	x := r.s.g.action("sql.preview", ambit.Read, r.s.database())
	x.Service, x.Args = r.s.db.Service, map[string]string{"statement": clip(count, maxArg)}
	text := ""
	err := r.s.g.c.Do.Do(ctx, x, nil, func(ctx context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
		if err := p.Check(); err != nil {
			return ambit.Refused, "no permit", err
		}
		ctx, cancel := context.WithTimeout(ctx, r.s.g.c.Limits.Preview)
		defer cancel()
		var err error
		if text, err = r.look(ctx, count, rows); err != nil {
			return ambit.Failed, printable(err.Error(), 300), err
		}
		return ambit.Performed, "", nil
	})
	if err != nil {
		return "which rows it would touch could not be found: " + printable(err.Error(), 300) + "\n"
	}
	return text
}

func clip(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }

// look asks the database.
func (r *run) look(ctx context.Context, count, rows string) (string, error) {
	settings := map[string]string{"application_name": "ambit preview", "default_transaction_read_only": "on", "statement_timeout": fmt.Sprint(r.s.g.c.Limits.Preview.Milliseconds())}
	r.s.mu.Lock()
	maps.Copy(settings, r.s.reading) // so that dates are read as the session reads them
	r.s.mu.Unlock()
	u, err := r.s.g.connect(ctx, r.s.db, r.s.login, settings)
	if err != nil {
		return "", errors.New("the database could not be reached")
	}
	defer r.s.g.drop(u.conn)
	if end, ok := ctx.Deadline(); ok {
		u.conn.SetDeadline(end)
	}
	defer context.AfterFunc(ctx, func() { u.conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := u.ask(&pgproto3.Query{String: "BEGIN TRANSACTION READ ONLY"}); err != nil {
		return "", err
	}
	// The types of parameters that the new statements do not use must be told; those that
	// the client gave decide what its bytes mean.
	var oids []uint32
	if r.of != nil {
		oids = r.of.oids
	}
	got, err := u.ask(&pgproto3.Parse{Query: r.list[0].Text, ParameterOIDs: oids}, &pgproto3.Describe{ObjectType: 'S'}, &pgproto3.Sync{})
	if err != nil {
		return "", err
	}
	n, err := u.ask(append(r.bound(count, got.types), &pgproto3.Execute{}, &pgproto3.Sync{})...)
	if err != nil {
		return "", err
	}
	first, err := u.ask(append(r.bound(rows, got.types), &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{MaxRows: maxShownRows}, &pgproto3.Sync{})...)
	if err != nil {
		return "", err
	}
	if _, err := u.ask(&pgproto3.Query{String: "ROLLBACK"}); err != nil {
		return "", err
	}
	return shown(n, first), nil
}

// bound prepares a statement with the execution's own parameters.
func (r *run) bound(text string, types []uint32) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{
		&pgproto3.Parse{Query: text, ParameterOIDs: types},
		&pgproto3.Bind{ParameterFormatCodes: r.params.binary, Parameters: r.params.values},
	}
}

func shown(n, first found) string {
	if len(n.rows) != 1 || len(n.rows[0]) != 1 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "it would touch %s rows", n.rows[0][0])
	if len(first.rows) > 0 {
		fmt.Fprintf(&b, "; as they are now, the first %d:", len(first.rows))
	}
	b.WriteByte('\n')
	for _, row := range first.rows {
		for i, v := range row {
			name := "?"
			if i < len(first.names) {
				name = first.names[i]
			}
			fmt.Fprintf(&b, "  %s: %s", printable(name, 64), printable(v, maxShownCell))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// found is what a database answered.
type found struct {
	types []uint32 // of parameters
	names []string // of columns
	rows  [][]string
}

// ask sends messages that end with one that the database is ready after, and reads
// its answer, of a few rows.
func (u *upstream) ask(ms ...pgproto3.FrontendMessage) (got found, err error) {
	var b []byte
	for _, m := range ms {
		if b, err = m.Encode(b); err != nil {
			return got, err
		}
	}
	if _, err := u.conn.Write(b); err != nil {
		return got, err
	}
	var failed error
	for {
		kind, body, err := u.read()
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
		if len(f.rows) < maxShownRows {
			f.rows = append(f.rows, row)
		}
	}
	return nil
}
