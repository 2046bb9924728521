package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"ambit"
	"ambit/store/row"
)

// micros writes a time as microseconds since 1970 in UTC; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// at is a column that holds micros.
type at struct{ t *time.Time }

// Scan implements sql.Scanner.
func (a at) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is a %T", v)
	}
	*a.t = time.Time{}
	if n != 0 {
		*a.t = time.UnixMicro(n).UTC()
	}
	return nil
}

// digest is a column of 32 bytes.
type digest struct{ d *ambit.Digest }

// Scan implements sql.Scanner.
func (d digest) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(d.d) {
		return fmt.Errorf("a digest is a %T of the wrong length", v)
	}
	copy(d.d[:], b)
	return nil
}

// words is a column that holds a JSON array of strings.
type words struct{ w *[]string }

// Scan implements sql.Scanner.
func (w words) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("a list is a %T", v)
	}
	*w.w = nil
	return json.Unmarshal([]byte(s), w.w)
}

func writeWords(w []string) (string, error) {
	if w == nil {
		w = []string{}
	}
	b, err := json.Marshal(w)
	return string(b), err
}

// blob is a column of bytes, which are never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// moved says whether an update found its row in the state it was to leave, and
// otherwise whether the row is there at all.
func moved(tx *sql.Tx, r sql.Result, table, key, id string) error {
	n, err := r.RowsAffected()
	if err != nil || n == 1 {
		return err
	}
	var there int
	if err := tx.QueryRow(`SELECT count(*) FROM `+table+` WHERE `+key+` = ?`, id).Scan(&there); err != nil {
		return err
	}
	if there == 0 {
		return row.ErrMissing
	}
	return row.ErrMoved
}
