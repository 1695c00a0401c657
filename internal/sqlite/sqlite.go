// Package sqlite is the system of record on one machine: one database file in
// WAL mode, one writer that commits whatever has queued in a single fsync, and a
// pool of read-only connections.
//
// Floor rows, the log and the journal are written by [DB.Commit] alone; the
// other writes (keys, drafts, channels, audit, vectors, stored answers) share
// its goroutine and its transactions.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"usher"
)

// Sync says when a commit is durable.
type Sync string

// The settings of [Options.Sync].
const (
	SyncFull   Sync = "full"   // survives a power loss
	SyncNormal Sync = "normal" // survives the death of the process; a power loss may take the last moments
)

// Options of [Open].
type Options struct {
	Sync        Sync          // defaults to SyncFull
	Readers     int           // read-only connections; defaults to the number of cores, at least 4
	BusyTimeout time.Duration // how long a statement waits for a lock; defaults to 5 s
	Language    string        // of the workspace, kept in the database; "" = as it is there
	ReadOnly    bool          // reads only: takes no lock, migrates nothing, every write fails
}

// WithDefaults fills what is not set.
func (o Options) WithDefaults() Options {
	if o.Sync == "" {
		o.Sync = SyncFull
	}
	if o.Readers <= 0 {
		o.Readers = max(4, runtime.GOMAXPROCS(0))
	}
	if o.BusyTimeout <= 0 {
		o.BusyTimeout = 5 * time.Second
	}
	return o
}

// Validate lists what is wrong with o.
func (o Options) Validate() error {
	if o.Sync != SyncFull && o.Sync != SyncNormal {
		return usher.Errorf(usher.InvalidArgument, "sync is %q, not full or normal", o.Sync).At("store.sync")
	}
	return nil
}

// DB is an open database. Its methods may be called from any goroutine.
type DB struct {
	read    *sql.DB
	write   *sql.DB // one connection, owned by writer; nil when read-only
	writer  *writer
	release func() error // of the lock; nil when read-only
	queries sync.Map     // SQL text -> *sql.Stmt on the read pool

	channels    sync.Map      // id -> keptChannel
	channelsAge atomic.Uint64 // rises with every write of a channel
}

// Open opens or creates the database at path and brings its schema up to date.
// The folder is locked against a second process until Close (see [Lock]). A
// database written by a newer version is refused.
func Open(ctx context.Context, path string, opt Options) (*DB, error) {
	opt = opt.WithDefaults()
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	db := &DB{}
	if err := db.open(ctx, path, opt); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), db.Close())
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, path string, opt Options) (err error) {
	if opt.ReadOnly {
		if _, err := os.Stat(path); err != nil {
			return usher.Errorf(usher.NotFound, "there is no database").Because(err)
		}
	} else {
		if db.release, err = Lock(filepath.Dir(path)); err != nil {
			return err
		}
		if err := db.openWriter(ctx, path, opt); err != nil {
			return err
		}
	}
	db.read, err = sql.Open("sqlite", dsn(path, url.Values{
		"mode":    {"ro"},
		"_pragma": {busy(opt), "query_only(1)", "cache_size(-4000)", "temp_store(memory)"},
	}))
	if err != nil {
		return fmt.Errorf("open readers: %w", err)
	}
	db.read.SetMaxOpenConns(opt.Readers)
	db.read.SetMaxIdleConns(opt.Readers)
	if err := verifyPragmas(ctx, db.read, map[string]string{
		"journal_mode": "wal", "query_only": "1", "busy_timeout": milliseconds(opt),
	}); err != nil {
		return err
	}
	if opt.ReadOnly {
		return checkSchema(ctx, db.read)
	}
	return nil
}

func (db *DB) openWriter(ctx context.Context, path string, opt Options) (err error) {
	sync := map[Sync]string{SyncFull: "2", SyncNormal: "1"}[opt.Sync]
	db.write, err = sql.Open("sqlite", dsn(path, url.Values{
		"_txlock": {"immediate"},
		"_pragma": {busy(opt), "journal_mode(wal)", "synchronous(" + sync + ")", "cache_size(-16000)", "temp_store(memory)"},
	}))
	if err != nil {
		return fmt.Errorf("open writer: %w", err)
	}
	db.write.SetMaxOpenConns(1)
	// A misspelt pragma is ignored in silence; without these the promises of
	// this package do not hold.
	if err := verifyPragmas(ctx, db.write, map[string]string{
		"journal_mode": "wal", "synchronous": sync, "busy_timeout": milliseconds(opt),
	}); err != nil {
		return err
	}
	if err := migrate(ctx, db.write); err != nil {
		return err
	}
	if err := seed(ctx, db.write); err != nil {
		return err
	}
	if opt.Language != "" {
		if _, err := db.write.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('language', ?)
			ON CONFLICT (key) DO UPDATE SET value = excluded.value`, opt.Language); err != nil {
			return fmt.Errorf("write language: %w", err)
		}
	}
	db.writer = startWriter(db.write) //nolint:contextcheck // it outlives the call that opens
	return nil
}

// Close ends every connection; the one writing finishes what has queued.
func (db *DB) Close() error {
	var errs []error
	if db.writer != nil {
		db.writer.close()
	}
	db.queries.Range(func(_, stmt any) bool {
		errs = append(errs, stmt.(*sql.Stmt).Close())
		return true
	})
	db.queries.Clear()
	if db.read != nil {
		errs = append(errs, db.read.Close())
	}
	if db.write != nil {
		errs = append(errs, db.write.Close())
	}
	if db.release != nil {
		errs = append(errs, db.release())
		db.release = nil
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// seed gives a new database what it must have from its first moment: the seed of
// every random choice, and the two channels of an empty workspace.
func seed(ctx context.Context, db *sql.DB) error {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return fmt.Errorf("draw seed: %w", err)
	}
	res, err := db.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('seed', ?) ON CONFLICT DO NOTHING`,
		strconv.FormatUint(binary.LittleEndian.Uint64(b[:]), 10))
	if err != nil {
		return fmt.Errorf("write seed: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	for _, ch := range []usher.Channel{
		{ID: "web", Kind: usher.KindWeb, Name: "Web", Version: 1},
		{ID: "app", Kind: usher.KindApp, Name: "App", Version: 1},
	} {
		doc, err := encode(ch)
		if err != nil {
			return err
		}
		if _, err := db.ExecContext(ctx, putChannel, ch.ID, string(ch.Kind), doc); err != nil {
			return fmt.Errorf("write channel: %w", err)
		}
	}
	return nil
}

func dsn(path string, q url.Values) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func busy(opt Options) string { return "busy_timeout(" + milliseconds(opt) + ")" }

func milliseconds(opt Options) string {
	return strconv.FormatInt(opt.BusyTimeout.Milliseconds(), 10)
}

func verifyPragmas(ctx context.Context, db *sql.DB, want map[string]string) error {
	for name, v := range want {
		var got string
		if err := db.QueryRowContext(ctx, "PRAGMA "+name).Scan(&got); err != nil {
			return fmt.Errorf("read pragma %s: %w", name, err)
		}
		if got != v {
			return fmt.Errorf("pragma %s is %q, not %q", name, got, v)
		}
	}
	return nil
}

// nanos is how a time is stored; the zero time is 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// timeOf reads what nanos wrote.
func timeOf(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
