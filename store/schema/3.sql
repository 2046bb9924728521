-- What makes a service's credentials, and the credential of a live lease: sealed
-- with a key that is not in this file.
ALTER TABLE leases ADD COLUMN sealed BLOB NOT NULL DEFAULT x'';
CREATE TABLE services (
  task     TEXT NOT NULL REFERENCES tasks (id),
  service  TEXT NOT NULL,
  provider TEXT NOT NULL,
  expires  INTEGER NOT NULL,
  sealed   BLOB NOT NULL CHECK (length(sealed) > 0),
  PRIMARY KEY (task, service)
) STRICT;
