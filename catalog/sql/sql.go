// Package sql reads PostgreSQL statements with PostgreSQL's own grammar and
// says of each what it would do: the operation, its effect, and every table it
// touches with the columns that it uses.
//
// It is pure: it knows no database, decides nothing and keeps nothing but a
// bounded memory of what it has read. Its answers are only ever stricter than
// the truth: what it does not know is irreversible, and what it cannot read is
// an error. It assumes what the gate must make sure of: the text is what the
// server gets, client_encoding is UTF8, standard_conforming_strings is on, and
// search_path is "public" with the implicit pg_catalog, without temporary
// tables.
package sql

import "ambit"

// Bounds of what is read; real statements are far below them.
const (
	MaxText       = 1 << 20 // bytes of one text
	MaxStatements = 64      // statements of one text
	MaxAccesses   = 256     // tables of one statement, each with its operation
)

// Kind is what a statement asks of the connection, beside its effect.
type Kind uint8

// The kinds. Zero is unknown; such a statement is irreversible.
const (
	KindUnknown     Kind = iota
	KindQuery            // SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE, MERGE, EXPLAIN
	KindDefinition       // CREATE, ALTER, DROP, GRANT, TRUNCATE, COMMENT …
	KindTransaction      // BEGIN, COMMIT, ROLLBACK, SAVEPOINT …
	KindSession          // SET, RESET, SHOW, DISCARD, SET CONSTRAINTS
	KindCursor           // DECLARE, FETCH, MOVE, CLOSE
	KindPrepare          // PREPARE, DEALLOCATE
	KindExecute          // EXECUTE: runs what was prepared under Name
	KindListen           // LISTEN, UNLISTEN, NOTIFY
	KindCopyIn           // COPY … FROM STDIN: the client sends rows
	KindCopyOut          // COPY … TO STDOUT: the server sends rows
	KindCode             // DO, CALL, LOAD: runs what cannot be read here
	KindUpkeep           // VACUUM, ANALYZE, LOCK, CHECKPOINT, REINDEX …
)

// Statement is what one statement would do. The zero value is irreversible.
type Statement struct {
	Text      string       // as it was sent, by the grammar's own offsets, without the semicolon
	Kind      Kind         // what it asks of the connection
	Operation string       // "sql.select", "sql.drop" …: its main verb
	Effect    ambit.Effect // the worst of all that it does

	// Accesses are what it touches, sorted, each table and operation once. A
	// statement that touches nothing, such as SELECT 1 or BEGIN, has none. The
	// worst of their effects is never less than Effect, when there are any.
	Accesses []Access

	// Unseen is what the text does not say of what it does, so that nobody can approve
	// it by its text; empty for most.
	Unseen string

	// Beyond says why what it needs cannot be lent to it for one execution, so that nobody
	// is asked about it in vain; empty for most.
	Beyond string

	// Early says that code may run as soon as the server reads it: it names a type that
	// is not the server's own, whose values may be checked by functions.
	Early bool

	// Since is the first version of PostgreSQL in which it means this; 0 for all. In an
	// older one, what looks like syntax of the server's, such as JSON_VALUE(a, b), is a
	// call of a function that somebody made under this name.
	Since int

	Params int    // the highest parameter number: 2 for "… $1 … $2"
	Name   string // of the prepared statement, cursor, channel, savepoint or setting; may be empty

	// Because says, for a statement that is no read, what made it none: short
	// phrases for people, such as "calls pg_sleep".
	Because []string
}

// Access is one operation on one table, or on the whole database when Table is
// empty.
type Access struct {
	Operation string // "sql.select", "sql.insert", "sql.update", "sql.call" …
	Effect    ambit.Effect
	Schema    string // an unqualified name is pg_catalog's when pg_catalog has it, else public's
	Table     string

	// Columns are sorted. ["*"] means all of them, also when it cannot be told
	// which; none, as for SELECT count(*), that only the number of rows is used.
	Columns []string

	// Needs are the rights that it needs beside that on the rows of the table, which its
	// operation says.
	Needs []Need
}
