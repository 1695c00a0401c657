package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"usher"
)

// queued is how many writes may wait; more wait in their callers.
const queued = 256

// writer owns the one write connection. It takes whatever has queued, runs each
// write under its own savepoint, and commits once for all: no write waits for
// company, and none that came in time waits for the next fsync.
type writer struct {
	db       *sql.DB
	queue    chan *pending
	stopping chan struct{}
	stopped  chan struct{}
	stop     sync.Once

	groups, writes atomic.Uint64

	// Owned by the goroutine.
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

type pending struct {
	fn   func(*tx) error
	err  error
	done chan struct{}
}

// tx is what a write sees of its transaction.
type tx struct {
	ctx context.Context //nolint:containedctx // lives as long as one write, which nothing may cancel
	w   *writer
}

func startWriter(db *sql.DB) *writer {
	w := &writer{
		db: db, queue: make(chan *pending, queued),
		stopping: make(chan struct{}), stopped: make(chan struct{}),
	}
	go w.run()
	return w
}

// close lets what has queued finish.
func (w *writer) close() {
	w.stop.Do(func() { close(w.stopping) })
	<-w.stopped
}

func closedError() error {
	return usher.Errorf(usher.Unavailable, "the store is closed")
}

// do runs fn in the next transaction and returns when that is durable. Once
// taken, a write is not cancelled: interrupting a statement would throw the only
// write connection away, and the caller has to know how it ended.
func (w *writer) do(ctx context.Context, fn func(*tx) error) error {
	p := &pending{fn: fn, done: make(chan struct{})}
	select {
	case <-w.stopping:
		return closedError()
	default:
	}
	select {
	case w.queue <- p:
	case <-w.stopping:
		return closedError()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-p.done:
		return p.err
	case <-w.stopped:
		select {
		case <-p.done:
			return p.err
		default:
			return closedError()
		}
	}
}

func (w *writer) run() {
	defer close(w.stopped)
	group := make([]*pending, 0, queued)
	for {
		group = group[:0]
		select {
		case p := <-w.queue:
			group = append(group, p)
		case <-w.stopping:
			select { // what has queued before is finished
			case p := <-w.queue:
				group = append(group, p)
			default:
				w.drop()
				return
			}
		}
		// Whoever is ready to write does so before the transaction begins. Waking
		// its first writer would otherwise run the loop with that one alone.
		runtime.Gosched()
	more:
		for len(group) < queued {
			select {
			case p := <-w.queue:
				group = append(group, p)
			default:
				break more
			}
		}
		w.commit(group)
	}
}

// commit runs the group in one transaction. A write that fails, fails alone; a
// transaction that fails, fails for all of them.
func (w *writer) commit(group []*pending) {
	ctx := context.Background()
	err := w.transaction(ctx, group)
	if err != nil {
		// Whatever state the connection is in, the next group starts on a new one.
		w.drop()
	}
	w.groups.Add(1)
	w.writes.Add(uint64(len(group)))
	for _, p := range group {
		if err != nil {
			p.err = err
		}
		close(p.done)
	}
}

func (w *writer) transaction(ctx context.Context, group []*pending) error {
	if w.conn == nil {
		conn, err := w.db.Conn(ctx)
		if err != nil {
			return fmt.Errorf("open write connection: %w", err)
		}
		w.conn, w.stmts = conn, map[string]*sql.Stmt{}
	}
	t := &tx{ctx: ctx, w: w}
	if _, err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for _, p := range group {
		if _, err := t.exec("SAVEPOINT one"); err != nil {
			return fmt.Errorf("savepoint: %w", err)
		}
		if p.err = p.fn(t); p.err != nil {
			if _, err := t.exec("ROLLBACK TO one"); err != nil {
				return errors.Join(fmt.Errorf("roll back: %w", err), p.err)
			}
		}
		if _, err := t.exec("RELEASE one"); err != nil {
			return errors.Join(fmt.Errorf("release: %w", err), p.err)
		}
	}
	if _, err := t.exec("COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// drop throws the connection away; an open transaction ends with it.
func (w *writer) drop() {
	if w.conn == nil {
		return
	}
	for _, s := range w.stmts {
		_ = s.Close() // goes with its connection
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = w.conn.Close() // already discarded: says so
	w.conn, w.stmts = nil, nil
}

// exec runs a statement, prepared on first use, and returns the rows affected.
func (t *tx) exec(query string, args ...any) (int64, error) {
	s, err := t.prepare(query) //nolint:sqlclosecheck // kept for the next write; drop closes it
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row runs a query of one row.
func (t *tx) row(query string, args ...any) (*sql.Row, error) {
	s, err := t.prepare(query) //nolint:sqlclosecheck // kept for the next write; drop closes it
	if err != nil {
		return nil, err
	}
	return s.QueryRowContext(t.ctx, args...), nil
}

func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if s, ok := t.w.stmts[query]; ok {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	t.w.stmts[query] = s
	return s, nil
}

// do runs a write; every write of this package goes through it.
func (db *DB) do(ctx context.Context, what string, fn func(*tx) error) error {
	if db.writer == nil {
		return usher.Errorf(usher.Unavailable, "the store is open for reading only")
	}
	if err := db.writer.do(ctx, fn); err != nil {
		if _, ok := errors.AsType[*usher.Error](err); ok {
			return err
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Stats counts what the writer has done since Open.
type Stats struct {
	Groups uint64 // transactions, each one fsync
	Writes uint64 // writes in them
}

// Stats returns the counts so far.
func (db *DB) Stats() Stats {
	if db.writer == nil {
		return Stats{}
	}
	return Stats{Groups: db.writer.groups.Load(), Writes: db.writer.writes.Load()}
}
