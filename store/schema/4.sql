-- A lease that a person wrote off, by whom and why. What it was stands in a CHECK,
-- which only a new table can have.
CREATE TABLE leases_4 (
  id       TEXT PRIMARY KEY,
  task     TEXT NOT NULL REFERENCES tasks (id),
  service  TEXT NOT NULL,
  provider TEXT NOT NULL,
  handle   TEXT NOT NULL DEFAULT '',
  state    TEXT NOT NULL CHECK (state IN ('requested', 'live', 'revoking', 'dead', 'written-off')),
  minted   INTEGER NOT NULL,
  expires  INTEGER NOT NULL,
  ended    INTEGER NOT NULL DEFAULT 0,
  sealed   BLOB NOT NULL DEFAULT x'',
  by       TEXT NOT NULL DEFAULT '',
  why      TEXT NOT NULL DEFAULT '',
  remains  TEXT NOT NULL DEFAULT '',
  CHECK ((state = 'written-off') = (by <> '' AND why <> ''))
) STRICT;
INSERT INTO leases_4 (id, task, service, provider, handle, state, minted, expires, ended, sealed)
  SELECT id, task, service, provider, handle, state, minted, expires, ended, sealed FROM leases;
DROP TABLE leases;
ALTER TABLE leases_4 RENAME TO leases;
CREATE INDEX leases_by_state ON leases (state);
CREATE INDEX leases_by_task ON leases (task);

CREATE TRIGGER leases_stay_over BEFORE UPDATE OF state ON leases
WHEN old.state IN ('dead', 'written-off') AND new.state <> old.state
BEGIN SELECT RAISE(ABORT, 'a lease that is dead or written off stays so'); END;
