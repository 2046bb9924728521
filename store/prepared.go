package store

import (
	"context"
	"database/sql"
	"slices"
	"sync"
)

// prepared keeps statements that were read once: to read one costs more than to run it, and
// a task that starts or ends waits for that. What is run again is a constant text of this
// package, so there are few. The zero value is ready.
type prepared struct {
	mu   sync.Mutex
	by   map[string]*sql.Stmt
	want []string // run without, to be read when no transaction holds the connection
}

const maxPrepared = 64

// find returns the statement, or nil and notes that it is wanted.
func (p *prepared) find(q string) *sql.Stmt {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.by[q]
	if st == nil && len(p.by)+len(p.want) < maxPrepared && !slices.Contains(p.want, q) {
		p.want = append(p.want, q)
	}
	return st
}

// fill reads what was wanted. One that cannot be read now is run without, as before, and
// wanted again. The statements end with their database.
func (p *prepared) fill(ctx context.Context, db *sql.DB) {
	p.mu.Lock()
	want := p.want
	p.want = nil
	p.mu.Unlock()
	for _, q := range want {
		st, err := db.PrepareContext(ctx, q)
		if err != nil {
			return
		}
		if !p.keep(q, st) {
			st.Close()
		}
	}
}

// keep refuses a statement that another reader kept meanwhile.
func (p *prepared) keep(q string, st *sql.Stmt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by[q] != nil {
		return false
	}
	if p.by == nil {
		p.by = map[string]*sql.Stmt{}
	}
	p.by[q] = st
	return true
}

// exec runs q in a transaction of the writing connection.
func (h *handles) exec(ctx context.Context, tx *sql.Tx, q string, args ...any) (sql.Result, error) {
	if st := h.writes.find(q); st != nil {
		return tx.StmtContext(ctx, st).ExecContext(ctx, args...)
	}
	return tx.ExecContext(ctx, q, args...)
}

// query runs q on a connection that cannot write.
func (h *handles) query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	if st := h.reads.find(q); st != nil {
		return st.QueryContext(ctx, args...)
	}
	return h.read.QueryContext(ctx, q, args...)
}
