package store

import (
	"path/filepath"
	"testing"
)

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
	for _, q := range []string{"ALTER TABLE tasks DROP COLUMN process", "ALTER TABLE leases DROP COLUMN sealed", "DROP TABLE services", "PRAGMA user_version = 1"} {
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
	more := task("other")
	if err := s.AddTask(t.Context(), more); err != nil {
		t.Error(err)
	}
}
