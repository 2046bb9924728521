-- Which process a task's pid was: a pid alone means another process later.
ALTER TABLE tasks ADD COLUMN process TEXT NOT NULL DEFAULT '';
