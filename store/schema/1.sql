CREATE TABLE agents (
  name       TEXT PRIMARY KEY,
  owner      TEXT NOT NULL,
  purpose    TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  barred     INTEGER NOT NULL DEFAULT 0,
  barred_by  TEXT NOT NULL DEFAULT '',
  bar_why    TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE tasks (
  id           TEXT PRIMARY KEY CHECK (length(id) = 26),
  agent        TEXT NOT NULL REFERENCES agents (name),
  owner        TEXT NOT NULL,
  purpose      TEXT NOT NULL,
  spiffe       TEXT NOT NULL UNIQUE,
  on_behalf_of TEXT NOT NULL,
  parent       TEXT REFERENCES tasks (id),
  command      TEXT NOT NULL,
  workspace    TEXT NOT NULL,
  pid          INTEGER NOT NULL,
  started      INTEGER NOT NULL,
  expires      INTEGER NOT NULL CHECK (expires > started),
  state        TEXT NOT NULL CHECK (state IN ('live', 'ended', 'expired', 'revoked')),
  ended        INTEGER NOT NULL DEFAULT 0,
  ended_by     TEXT NOT NULL DEFAULT '',
  end_why      TEXT NOT NULL DEFAULT '',
  exit_status  INTEGER NOT NULL DEFAULT -1,
  grants       BLOB NOT NULL CHECK (length(grants) = 32),
  key          BLOB NOT NULL CHECK (length(key) = 32),
  audiences    TEXT NOT NULL
) STRICT;
CREATE INDEX tasks_by_state ON tasks (state, started);
CREATE INDEX tasks_by_agent ON tasks (agent, started);
CREATE INDEX tasks_by_parent ON tasks (parent);

-- An ended task never becomes live again, whatever the program does.
CREATE TRIGGER tasks_stay_over BEFORE UPDATE OF state ON tasks
WHEN old.state <> 'live' AND new.state <> old.state
BEGIN SELECT RAISE(ABORT, 'a task that is over stays over'); END;

CREATE TABLE questions (
  ticket   TEXT PRIMARY KEY,
  task     TEXT NOT NULL REFERENCES tasks (id),
  digest   BLOB NOT NULL CHECK (length(digest) = 32),
  action   BLOB NOT NULL,
  decision BLOB NOT NULL,
  preview  TEXT NOT NULL,
  asked    INTEGER NOT NULL,
  expires  INTEGER NOT NULL CHECK (expires > asked),
  state    TEXT NOT NULL CHECK (state IN ('open', 'approved', 'denied', 'expired', 'spent')),
  by       TEXT NOT NULL DEFAULT '',
  why      TEXT NOT NULL DEFAULT '',
  answered INTEGER NOT NULL DEFAULT 0,
  spent    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX questions_by_asked ON questions (asked);
CREATE INDEX questions_by_expires ON questions (expires);
CREATE INDEX questions_by_task ON questions (task);

-- An approval is spent once, and what was answered with no stays no.
CREATE TRIGGER questions_stay_over BEFORE UPDATE OF state ON questions
WHEN old.state IN ('denied', 'expired', 'spent') AND new.state <> old.state
BEGIN SELECT RAISE(ABORT, 'a question that is over stays over'); END;

CREATE TABLE leases (
  id       TEXT PRIMARY KEY,
  task     TEXT NOT NULL REFERENCES tasks (id),
  service  TEXT NOT NULL,
  provider TEXT NOT NULL,
  handle   TEXT NOT NULL DEFAULT '',
  state    TEXT NOT NULL CHECK (state IN ('requested', 'live', 'revoking', 'dead')),
  minted   INTEGER NOT NULL,
  expires  INTEGER NOT NULL,
  ended    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX leases_by_state ON leases (state);
CREATE INDEX leases_by_task ON leases (task);

CREATE TRIGGER leases_stay_dead BEFORE UPDATE OF state ON leases
WHEN old.state = 'dead' AND new.state <> old.state
BEGIN SELECT RAISE(ABORT, 'a lease that is dead stays dead'); END;

CREATE TABLE revocations (
  kind TEXT NOT NULL CHECK (kind IN ('task', 'agent')),
  name TEXT NOT NULL,
  by   TEXT NOT NULL,
  why  TEXT NOT NULL,
  at   INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_by_at ON revocations (at);

-- One row: the latest time that was ever acted on.
CREATE TABLE clock (
  one  INTEGER PRIMARY KEY CHECK (one = 1),
  high INTEGER NOT NULL
) STRICT;
INSERT INTO clock (one, high) VALUES (1, 0);
