package store

import (
	"path/filepath"
	"testing"

	"ambit/store/row"
)

// leases1 is the table as the first schema had it.
const leases1 = `CREATE TABLE leases (
  id TEXT PRIMARY KEY, task TEXT NOT NULL REFERENCES tasks (id), service TEXT NOT NULL, provider TEXT NOT NULL, handle TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL CHECK (state IN ('requested', 'live', 'revoking', 'dead')), minted INTEGER NOT NULL, expires INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX leases_by_state ON leases (state);
CREATE INDEX leases_by_task ON leases (task);
CREATE TRIGGER leases_stay_dead BEFORE UPDATE OF state ON leases WHEN old.state = 'dead' AND new.state <> old.state
BEGIN SELECT RAISE(ABORT, 'a lease that is dead stays dead'); END;`

// TestAnOlderFileIsBroughtUpToDate: a file of the first schema keeps its tasks.
func TestAnOlderFileIsBroughtUpToDate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := New(path)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := task("web-fixer")
	if err := s.AddTask(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := connect(path, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"ALTER TABLE tasks DROP COLUMN process", "DROP TABLE leases", "DROP TABLE services", leases1, "PRAGMA user_version = 1",
		"INSERT INTO leases VALUES ('l', '" + string(old.ID) + "', 'shop', 'postgres', 'h', 'revoking', 1, 2, 0)",
		"INSERT INTO leases VALUES ('m', '" + string(old.ID) + "', 'shop', 'postgres', '', 'dead', 1, 2, 3)"} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s = New(path)
	defer s.Close()
	l, err := s.LiveTasks(t.Context())
	if err != nil || len(l) != 1 || l[0].ID != old.ID || l[0].PID != old.PID || l[0].Process != "" {
		t.Errorf("tasks are %+v, %v", l, err)
	}
	open, err := s.OpenLeases(t.Context())
	if err != nil || len(open) != 1 || open[0].ID != "l" || open[0].State != row.LeaseRevoking || open[0].Handle != "h" || open[0].Task != old.ID {
		t.Errorf("leases are %+v, %v", open, err)
	}
	if m, err := s.Lease(t.Context(), "m"); err != nil || m.State != row.LeaseDead || m.Ended.IsZero() {
		t.Errorf("the dead lease is %+v, %v", m, err)
	}
	more := task("other")
	if err := s.AddTask(t.Context(), more); err != nil {
		t.Error(err)
	}
}
