package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"usher"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. The folder lock keeps two processes
// from doing it at once.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if err := known(have); err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema: %w", err)
	}
	return nil
}

// checkSchema refuses a database that this version cannot read as it is.
func checkSchema(ctx context.Context, db *sql.DB) error {
	var have int64
	err := db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&have)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if err := known(have); err != nil {
		return err
	}
	newest, err := newestMigration()
	if err != nil {
		return err
	}
	if have < newest {
		e := usher.Errorf(usher.Conflict, "the database has schema %d, older than %d", have, newest)
		e.Hint = "start usher serve once: it brings the schema up to date"
		return e
	}
	return nil
}

func known(have int64) error {
	newest, err := newestMigration()
	if err != nil {
		return err
	}
	if have > newest {
		e := usher.Errorf(usher.Conflict, "the database has schema %d, newer than %d", have, newest)
		e.Hint = "it was written by a newer usher; use that version, or restore an older copy"
		return e
	}
	return nil
}

func newestMigration() (int64, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		return 0, errors.Join(errors.New("read migrations: none embedded"), err)
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(names[len(names)-1], "migrations/"), "_")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	return n, nil
}
