// Command past makes what happened in the data folder of a stopped server older,
// for scenarios that need a last week:
//
//	go run ./tool/past DIR 168h
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "past:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 2 {
		return errors.New("usage: past DIR DURATION")
	}
	by, err := time.ParseDuration(args[1])
	if err != nil {
		return fmt.Errorf("parse duration: %w", err)
	}
	db, err := sql.Open("sqlite", filepath.Join(args[0], "usher.db"))
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `UPDATE events SET at = at - ?`, by.Nanoseconds()); err != nil {
		return fmt.Errorf("move the log: %w", err)
	}
	// Rows of another form are thrown away; the server makes them again from the log.
	if _, err := db.ExecContext(ctx, `UPDATE report_cursor SET version = 0`); err != nil {
		return fmt.Errorf("mark the reports: %w", err)
	}
	return nil
}
