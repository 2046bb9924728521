package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ncruces/go-sqlite3/driver"
)

//go:embed schema/*.sql
var schema embed.FS

const (
	// version is the newest schema that this program knows; schema/N.sql leads
	// from version N-1 to N.
	version = 4
	// applicationID marks the file as Ambit's ("AMBT"), in SQLite's header
	// field of that name (https://www.sqlite.org/fileformat2.html section 1.3).
	applicationID = 0x414d4254
)

// pragmas hold for every connection. FULL makes a commit durable in WAL mode
// (https://www.sqlite.org/pragma.html#pragma_synchronous). What is deleted is
// overwritten: whoever finds an old key must not find an old sealed credential too.
func pragmas(more ...string) string {
	q := url.Values{"_pragma": {"busy_timeout(5000)", "foreign_keys(1)", "synchronous(FULL)", "trusted_schema(0)", "secure_delete(1)"}}
	for _, p := range more {
		q.Add("_pragma", p)
	}
	return q.Encode()
}

func openFile(ctx context.Context, path string) (*handles, error) {
	fi, err := makeFile(path)
	if err != nil {
		return nil, err
	}
	h := &handles{file: fi}
	if h.write, err = connect(path, 1, pragmas("journal_mode(WAL)")+"&_txlock=immediate"); err != nil {
		return nil, explain(path, "open", err)
	}
	if err := migrate(ctx, h.write, path); err != nil {
		return nil, errors.Join(err, h.write.Close())
	}
	if h.read, err = connect(path, readers, pragmas("query_only(1)")); err != nil {
		return nil, errors.Join(explain(path, "open", err), h.write.Close())
	}
	return h, nil
}

// makeFile makes the file for its owner alone when there is none, and refuses
// what is not a plain file.
func makeFile(path string) (os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		if err := errors.Join(f.Close(), syncDir(filepath.Dir(path))); err != nil {
			return nil, explain(path, "make", err)
		}
	} else if !errors.Is(err, os.ErrExist) {
		return nil, explain(path, "make", err)
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, explain(path, "open", err)
	}
	// A link would let whoever planted it choose which file is written.
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot open %s: it is not a plain file: move it away", path)
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("cannot open %s: others may use it (mode %04o): chmod 600 %s", path, fi.Mode().Perm(), path)
	}
	return fi, nil
}

func connect(path string, most int, query string) (*sql.DB, error) {
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query}
	c, err := (&driver.SQLite{}).OpenConnector(u.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db, nil
}

// migrate brings an older file to this program's schema, one transaction for
// each version, and refuses a newer one.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	for {
		have, err := schemaVersion(ctx, db, path)
		if err != nil || have == version {
			return err
		}
		if err := step(ctx, db, have+1); err != nil {
			return explain(path, "bring up to date", err)
		}
	}
}

func schemaVersion(ctx context.Context, db *sql.DB, path string) (int, error) {
	var have, app, tables int
	err := db.QueryRowContext(ctx,
		`SELECT v.user_version, a.application_id, (SELECT count(*) FROM sqlite_schema)
		 FROM pragma_user_version v, pragma_application_id a`).Scan(&have, &app, &tables)
	switch {
	case err != nil:
		return 0, explain(path, "open", err)
	case app != applicationID && (app != 0 || tables != 0 || have != 0):
		return 0, fmt.Errorf("cannot open %s: it is a database of another program: move it away", path)
	case have > version:
		return 0, fmt.Errorf("cannot open %s: a newer Ambit wrote it (schema %d, this one knows %d): use that Ambit, or set AMBIT_HOME to another folder",
			path, have, version)
	}
	return have, nil
}

func step(ctx context.Context, db *sql.DB, to int) error {
	text, err := schema.ReadFile("schema/" + strconv.Itoa(to) + ".sql")
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	for _, q := range []string{
		string(text),
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
		fmt.Sprintf("PRAGMA user_version = %d", to),
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// syncDir makes a new name in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
