package sql

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/catalog/sql"
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
		fmt.Fprintf(&b, "  %s %s %s", x.Effect.Worst(), x.Operation, printable(x.Resource.String(), 160))
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
	b.WriteString(r.needed())
	b.WriteString(r.touched(ctx))
	if r.s.wrote {
		b.WriteString("the session has changed something and not committed it: that is not counted here\n")
	}
	return b.String()
}

// touched finds the rows that the statement would touch, as a question of its own:
// in a transaction that only reads and is rolled back, on a connection of its own.
// When it cannot, it says so: a person does not take silence for no rows.
func (r *run) touched(ctx context.Context) string {
	const none = "there is no preview of rows: "
	switch {
	case len(r.list) != 1:
		return none + "it is several statements\n"
	case r.params.digest != "":
		return none + "its parameters are too large\n"
	}
	count, _, why := r.s.g.c.Reader.Preview(r.list[0])
	if why != "" {
		return none + why + "\n"
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
		if err = r.s.calm(ctx, func() (err error) { text, err = r.look(ctx, count); return err }); err != nil {
			return ambit.Failed, printable(err.Error(), 300), err
		}
		return ambit.Performed, "", nil
	})
	if err != nil && text == "" {
		why := printable(err.Error(), 300)
		if bad, ok := errors.AsType[*errDatabase](err); ok && bad.state == stateRefused {
			why = "without asking, the task may not read every column that the condition reads (" + why + ")"
		}
		return "how many rows it would touch, and which, could not be found: " + why + "\n"
	}
	return text
}

func clip(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }

// look asks the database. With an error it returns what it found before.
func (r *run) look(ctx context.Context, count string) (string, error) {
	u, err := r.lookout(ctx)
	if err != nil {
		return "", err
	}
	defer r.s.g.drop(u.Net)
	defer context.AfterFunc(ctx, func() { u.Net.SetDeadline(time.Unix(1, 0)) })()
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
	if len(n.rows) != 1 || len(n.rows[0]) != 1 {
		return "", errors.New("the database did not count them")
	}
	text := touches(n.rows[0][0])
	if n.rows[0][0] == "0" {
		return text, nil
	}
	first, err := r.first(u, got.types)
	if err != nil {
		// The count stands: what a person may know is not lost with what they may not.
		return text + "which rows could not be found: " + printable(err.Error(), 300) + "\n", err
	}
	if _, err := u.ask(&pgproto3.Query{String: "ROLLBACK"}); err != nil {
		return text, err
	}
	return text + first, nil
}

// lookout is a connection for a look, in a transaction that only reads.
func (r *run) lookout(ctx context.Context) (*upstream, error) {
	settings := map[string]string{"application_name": "ambit preview", "default_transaction_read_only": "on", "statement_timeout": fmt.Sprint(r.s.g.c.Limits.Preview.Milliseconds())}
	r.s.mu.Lock()
	maps.Copy(settings, r.s.reading) // so that dates are read as the session reads them
	r.s.mu.Unlock()
	u, err := r.s.g.connect(ctx, r.s.db, r.s.login, settings)
	if err != nil {
		return nil, errors.New("the database could not be reached")
	}
	if end, ok := ctx.Deadline(); ok {
		u.Net.SetDeadline(end)
	}
	if _, err := u.ask(&pgproto3.Query{String: "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"}); err != nil {
		r.s.g.drop(u.Net)
		return nil, err
	}
	return u, nil
}

// columnsOfTable are a table's columns, and whether the role may read them.
const columnsOfTable = `SELECT a.attname, pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
	FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

// first shows the first rows, of the columns that the task may read without a question:
// one that it may not read would fail the query for all.
func (r *run) first(u *upstream, types []uint32) (string, error) {
	at := slices.IndexFunc(r.list[0].Accesses, func(a sql.Access) bool {
		return a.Table != "" && (a.Operation == "sql.update" || a.Operation == "sql.delete")
	})
	if at < 0 {
		return "", errors.New("it changes no table")
	}
	table := r.list[0].Accesses[at]
	all, err := u.ask(&pgproto3.Parse{Query: columnsOfTable, ParameterOIDs: []uint32{typeText, typeText}},
		&pgproto3.Bind{Parameters: [][]byte{[]byte(table.Schema), []byte(table.Table)}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	if err != nil {
		return "", err
	}
	var may, left []string
	for _, c := range all.rows {
		switch {
		case len(c) != 2:
			return "", errors.New("the database did not say what the task may read")
		case c[1] == "t":
			may = append(may, c[0])
		default:
			left = append(left, c[0])
		}
	}
	if len(may) == 0 {
		return "the rows are not shown: the task may read no column of the table without asking\n", nil
	}
	_, rows, why := r.s.g.c.Reader.Preview(r.list[0], may...)
	if why != "" {
		return "", errors.New(why)
	}
	got, err := u.ask(append(r.bound(rows, types), &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{MaxRows: maxShownRows}, &pgproto3.Sync{})...)
	if err != nil {
		return "", err
	}
	return shown(got, left), nil
}

// typeText is the type of texts (pg_type.dat).
const typeText = 25

// bound prepares a statement with the execution's own parameters.
func (r *run) bound(text string, types []uint32) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{
		&pgproto3.Parse{Query: text, ParameterOIDs: types},
		&pgproto3.Bind{ParameterFormatCodes: r.params.binary, Parameters: r.params.values},
	}
}

func touches(n string) string {
	if n == "1" {
		return "it would touch 1 row\n"
	}
	return "it would touch " + printable(n, 20) + " rows\n"
}

// shown writes rows down, and which columns they lack.
func shown(first found, left []string) string {
	var b strings.Builder
	switch n := len(first.rows); n {
	case 0:
		return ""
	case 1:
		b.WriteString("as it is now:\n")
	default:
		fmt.Fprintf(&b, "as they are now, the first %d:\n", n)
	}
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
	if len(left) > 0 {
		fmt.Fprintf(&b, "not shown, since the task may not read them without asking: %s\n", printable(strings.Join(left, ", "), 300))
	}
	return b.String()
}
