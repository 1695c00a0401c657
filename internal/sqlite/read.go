package sqlite

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"usher"
)

// stmt returns the query prepared on the read pool. Only fixed texts come here;
// filters that vary are prepared as they are used.
func (db *DB) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := db.queries.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := db.read.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	if other, loaded := db.queries.LoadOrStore(query, s); loaded {
		_ = s.Close() //nolint:sqlclosecheck // another was first; this one is not used
		return other.(*sql.Stmt), nil
	}
	return s, nil
}

// each calls fn with the scan of every row.
func (db *DB) each(ctx context.Context, query string, args []any, fn func(scan func(...any) error) error) error {
	s, err := db.stmt(ctx, query) //nolint:sqlclosecheck // kept for the next call; Close closes it
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, fn)
}

func eachRow(rows *sql.Rows, fn func(scan func(...any) error) error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// find reads one document; false = there is none.
func find[T any](ctx context.Context, db *DB, query string, args ...any) (v T, ok bool, err error) {
	s, err := db.stmt(ctx, query) //nolint:sqlclosecheck // kept for the next call; Close closes it
	if err != nil {
		return v, false, fmt.Errorf("read %T: %w", v, err)
	}
	var doc []byte
	switch err := s.QueryRowContext(ctx, args...).Scan(&doc); {
	case errors.Is(err, sql.ErrNoRows):
		return v, false, nil
	case err != nil:
		return v, false, fmt.Errorf("read %T: %w", v, err)
	}
	if err := json.Unmarshal(doc, &v); err != nil {
		return v, false, fmt.Errorf("read %T: %w", v, err)
	}
	return v, true, nil
}

// get reads one document by id, or answers NotFound in the words of what.
func get[T any](ctx context.Context, db *DB, what, id, query string) (T, error) {
	v, ok, err := find[T](ctx, db, query, id)
	if err == nil && !ok {
		err = usher.Errorf(usher.NotFound, "there is no %s %q", what, id)
	}
	return v, err
}

// docs reads all documents of a query.
func docs[T any](ctx context.Context, q querier, query string, args ...any) ([]T, error) {
	list := []T{}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read %T: %w", list, err)
	}
	var raw sql.RawBytes
	if err := eachRow(rows, func(scan func(...any) error) error {
		if err := scan(&raw); err != nil {
			return err
		}
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		list = append(list, v)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read %T: %w", list, err)
	}
	return list, nil
}

// filter collects the conditions of a listing.
type filter struct {
	where string
	args  []any
}

func (f *filter) and(condition string, args ...any) {
	if f.where == "" {
		f.where = " WHERE "
	} else {
		f.where += " AND "
	}
	f.where += condition
	f.args = append(f.args, args...)
}

// equal adds column = v unless v is empty.
func (f *filter) equal(column, v string) {
	if v != "" {
		f.and(column+" = ?", v)
	}
}

// page reads one page of documents. from is a query "SELECT key, doc FROM …"
// without conditions; order names the key column, with DESC for newest first.
// The key alone must order the rows.
func page[K int64 | string, T any](ctx context.Context, db *DB, from string, f filter, key string, desc bool, p usher.Page) ([]T, string, error) {
	p = p.WithDefaults()
	direction, beyond := "", " > ?"
	if desc {
		direction, beyond = " DESC", " < ?"
	}
	if p.Cursor != "" {
		var after K
		if err := readCursor(p.Cursor, &after); err != nil {
			return nil, "", err
		}
		f.and(key+beyond, after)
	}
	f.args = append(f.args, p.Limit+1)
	list := make([]T, 0, p.Limit)
	var last K
	more := false
	rows, err := db.read.QueryContext(ctx, from+f.where+" ORDER BY "+key+direction+" LIMIT ?", f.args...)
	if err == nil {
		var raw sql.RawBytes
		err = eachRow(rows, func(scan func(...any) error) error {
			if len(list) == p.Limit {
				more = true
				return nil
			}
			var v T
			if err := scan(&last, &raw); err != nil {
				return err
			}
			if err := json.Unmarshal(raw, &v); err != nil {
				return err
			}
			list = append(list, v)
			return nil
		})
	}
	if err != nil {
		return nil, "", fmt.Errorf("list %T: %w", list, err)
	}
	if !more {
		return list, "", nil
	}
	next, err := writeCursor(last)
	return list, next, err
}

// A cursor is the key of the last row, opaque to the caller.
func writeCursor(key any) (string, error) {
	raw, err := json.Marshal(key)
	if err != nil {
		return "", fmt.Errorf("write cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

func readCursor(s string, key any) error {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(raw, key)
	}
	if err != nil {
		return usher.Errorf(usher.InvalidArgument, "this cursor was not given by usher").At("cursor").Because(err)
	}
	return nil
}
