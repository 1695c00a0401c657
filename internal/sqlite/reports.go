package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"usher"
	"usher/report"
)

// ReportOptions of [DB.Reports].
type ReportOptions struct {
	// Wake wakes the folder when the log has grown; nil = by the clock alone.
	Wake interface {
		Subscribe() (woken <-chan struct{}, cancel func())
	}
	Now   func() time.Time // defaults to time.Now
	Every time.Duration    // least time between two batches when it keeps up; defaults to 500 ms
	Batch int              // events folded at once; defaults to 1,000
	Keep  time.Duration    // how long rows can be read as they were; defaults to 15 min
	Log   *slog.Logger
}

// Reports keeps the rows of reports in step with the log.
type Reports struct {
	db    *DB
	opt   ReportOptions
	fresh atomic.Pointer[report.AsOf] // nothing newer was in the log at that time
	prune time.Time                   // when old rows are next thrown away; of the one who folds
}

// Reports returns the keeper of the report rows. One at a time may fold.
func (db *DB) Reports(opt ReportOptions) *Reports {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Every <= 0 {
		opt.Every = 500 * time.Millisecond
	}
	if opt.Batch <= 0 {
		opt.Batch = 1000
	}
	if opt.Keep <= 0 {
		opt.Keep = 15 * time.Minute
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Reports{db: db, opt: opt}
}

// tick is how often the log is looked at when nothing wakes.
const tick = time.Second

// Run folds what the log brings until ctx ends. A batch that fails is tried
// again: the log does not go away.
func (r *Reports) Run(ctx context.Context) error {
	var woken <-chan struct{}
	if r.opt.Wake != nil {
		c, cancel := r.opt.Wake.Subscribe()
		defer cancel()
		woken = c
	}
	clock := time.NewTicker(tick)
	defer clock.Stop()
	failed := false
	for ctx.Err() == nil {
		began := time.Now()
		more, err := r.Fold(ctx)
		pause := r.opt.Every
		switch {
		case ctx.Err() != nil:
			return nil // told to stop
		case err != nil:
			if !failed {
				r.opt.Log.ErrorContext(ctx, "reports do not follow the log", slog.Any("error", err))
			}
			pause = 5 * time.Second
		case more:
			pause = time.Since(began) // behind: half of the time is left to others
		}
		failed = err != nil
		if err := rest(ctx, pause); err != nil {
			return nil // told to stop
		}
		if more || failed {
			continue
		}
		select {
		case <-woken:
		case <-clock.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type reportCursor struct {
	version int
	step    usher.Step
	at      time.Time
	oldest  usher.Step
}

const readReportCursor = `SELECT version, step, at, oldest FROM report_cursor WHERE id = 1`

func (c *reportCursor) scan(row interface{ Scan(dest ...any) error }) error {
	var at int64
	if err := row.Scan(&c.version, &c.step, &at, &c.oldest); err != nil {
		return fmt.Errorf("read cursor of reports: %w", err)
	}
	c.at = timeOf(at)
	return nil
}

// Fold moves the rows on by one batch of whole steps and tells whether there may
// be more. Rows and cursor move in one transaction: a batch is folded once,
// whatever dies in between.
func (r *Reports) Fold(ctx context.Context) (more bool, err error) {
	var cur reportCursor
	if err := cur.scan(r.db.read.QueryRowContext(ctx, readReportCursor)); err != nil {
		return false, err
	}
	if cur.version != report.Version {
		if err := r.Rebuild(ctx); err != nil {
			return false, err
		}
		return true, nil
	}
	looked := r.opt.Now()
	events, more, err := r.steps(ctx, cur.step)
	if err != nil {
		return false, err
	}
	if len(events) == 0 {
		r.fresh.Store(&report.AsOf{Step: cur.step, At: looked.UTC()})
		return false, nil
	}
	b := fold{rows: map[string]*report.Conversation{}, open: map[string]*report.Shift{}, changed: map[string]bool{}}
	if err := b.load(ctx, r.db, events); err != nil {
		return false, fmt.Errorf("read report rows: %w", err)
	}
	for i := range events {
		if err := b.apply(&events[i]); err != nil {
			return false, err
		}
	}
	last := &events[len(events)-1]
	next := reportCursor{step: last.Step, at: last.At, oldest: cur.oldest}
	err = r.db.do(ctx, "write report rows", func(t *tx) error { return r.write(t, &b, cur, next, looked) })
	if err != nil {
		return false, err
	}
	if !more {
		r.fresh.Store(&report.AsOf{Step: next.step, At: looked.UTC()})
	}
	return more, nil
}

// steps reads the events after a step, whole steps only.
func (r *Reports) steps(ctx context.Context, after usher.Step) (events []usher.Event, more bool, err error) {
	for limit := r.opt.Batch; ; limit *= 2 {
		events, err = r.db.EventsAfter(ctx, usher.Cursor{Step: after, N: math.MaxInt32}, usher.EventFilter{}, limit)
		if err != nil || len(events) < limit {
			return events, false, err
		}
		last := events[len(events)-1].Step
		if i := slices.IndexFunc(events, func(e usher.Event) bool { return e.Step == last }); i > 0 {
			return events[:i], true, nil
		}
	}
}

// fold is one batch.
type fold struct {
	rows    map[string]*report.Conversation
	changed map[string]bool          // ids of conversations
	open    map[string]*report.Shift // by agent
	shifts  []report.Shift           // changed, in order
	decoder report.Decoder
}

// load reads the rows that the events change.
func (b *fold) load(ctx context.Context, db *DB, events []usher.Event) error {
	ids, agents := []string{}, []string{}
	for i := range events {
		e := &events[i]
		if report.Folds(e) && b.rows[e.ConversationID] == nil {
			b.rows[e.ConversationID] = &report.Conversation{}
			ids = append(ids, e.ConversationID)
		}
		if report.FoldsShift(e) && !slices.Contains(agents, e.AgentID) {
			agents = append(agents, e.AgentID)
		}
	}
	set, err := encode(ids)
	if err != nil {
		return err
	}
	err = db.each(ctx, `SELECT id, doc FROM report_conversations WHERE id IN (SELECT value FROM json_each(?))`, []any{set},
		func(scan func(...any) error) error {
			var id string
			var raw sql.RawBytes
			if err := scan(&id, &raw); err != nil {
				return err
			}
			return b.decoder.Conversation(raw, b.rows[id])
		})
	if err != nil || len(agents) == 0 {
		return err
	}
	if set, err = encode(agents); err != nil {
		return err
	}
	return db.each(ctx, `SELECT doc FROM report_intervals
		WHERE ends_at = 9223372036854775807 AND agent_id IN (SELECT value FROM json_each(?))`, []any{set},
		func(scan func(...any) error) error {
			var raw sql.RawBytes
			if err := scan(&raw); err != nil {
				return err
			}
			s := &report.Shift{}
			if err := b.decoder.Shift(raw, s); err != nil {
				return err
			}
			b.open[s.AgentID] = s
			return nil
		})
}

func (b *fold) apply(e *usher.Event) error {
	if report.Folds(e) {
		if err := b.rows[e.ConversationID].Apply(e); err != nil {
			return err
		}
		b.changed[e.ConversationID] = true
	}
	if !report.FoldsShift(e) {
		return nil
	}
	ended, began, err := report.NextShift(b.open[e.AgentID], e)
	if err != nil {
		return err
	}
	if ended != nil {
		delete(b.open, e.AgentID)
		b.shifts = append(b.shifts, *ended)
	}
	if began != nil {
		b.open[e.AgentID] = began
		b.shifts = append(b.shifts, *began)
	}
	return nil
}

// write stores a batch. The rows as they were are kept for those who look behind
// a number just told; a folder that is far behind has no such readers.
func (r *Reports) write(t *tx, b *fold, was, next reportCursor, now time.Time) error {
	keep := now.Sub(next.at) < r.opt.Keep
	if !keep {
		next.oldest = next.step
	} else if now.After(r.prune) {
		row, err := t.row(`SELECT coalesce(max(until), 0) FROM report_past WHERE until_at < ?`, nanos(now.Add(-r.opt.Keep)))
		if err != nil {
			return err
		}
		var gone usher.Step
		if err := row.Scan(&gone); err != nil {
			return err
		}
		if gone > 0 {
			next.oldest = max(next.oldest, gone)
			if _, err := t.exec(`DELETE FROM report_past WHERE until_at < ?`, nanos(now.Add(-r.opt.Keep))); err != nil {
				return err
			}
		}
		r.prune = now.Add(time.Minute)
	}
	n, err := t.exec(`UPDATE report_cursor SET step = ?, at = ?, oldest = ? WHERE id = 1 AND step = ? AND version = ?`,
		next.step, nanos(next.at), next.oldest, was.step, was.version)
	if err != nil {
		return err
	}
	if n == 0 {
		return usher.Errorf(usher.Conflict, "another folds the log for reports")
	}
	for _, id := range sortedIDs(b.changed) {
		c := b.rows[id]
		if keep {
			if _, err := t.exec(`INSERT INTO report_past (kind, id, since, until, until_at, begins_at, ends_at, doc)
				SELECT 'conversation', id, since, ?, ?, begins_at, ends_at, doc FROM report_conversations WHERE id = ?`,
				next.step, nanos(now), id); err != nil {
				return err
			}
		}
		if _, err := t.exec(`INSERT INTO report_conversations (id, since, begins_at, ends_at, doc) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET since = excluded.since, ends_at = excluded.ends_at, doc = excluded.doc`,
			id, next.step, nanos(c.OpenedAt), endOf(c.ClosedAt), c.Encode()); err != nil {
			return err
		}
	}
	for i := range b.shifts {
		s := &b.shifts[i]
		if keep { // one that began and ended in this batch was never told of
			if _, err := t.exec(`INSERT INTO report_past (kind, id, since, until, until_at, begins_at, ends_at, doc)
				SELECT 'interval', id, since, ?, ?, begins_at, ends_at, doc FROM report_intervals WHERE id = ? AND since < ?`,
				next.step, nanos(now), s.ID, next.step); err != nil {
				return err
			}
		}
		if _, err := t.exec(`INSERT INTO report_intervals (id, agent_id, since, begins_at, ends_at, doc) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET since = excluded.since, ends_at = excluded.ends_at, doc = excluded.doc`,
			s.ID, s.AgentID, next.step, nanos(s.From), endOf(s.To), s.Encode()); err != nil {
			return err
		}
	}
	return nil
}

func endOf(t time.Time) int64 {
	if t.IsZero() {
		return math.MaxInt64
	}
	return t.UnixNano()
}

func sortedIDs(m map[string]bool) []string {
	ids := make([]string, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Rebuild throws every row away; Fold then begins at the first event.
func (r *Reports) Rebuild(ctx context.Context) error {
	r.fresh.Store(nil)
	return r.db.do(ctx, "rebuild reports", func(t *tx) error {
		for _, q := range []string{
			`DELETE FROM report_conversations`, `DELETE FROM report_intervals`, `DELETE FROM report_past`,
		} {
			if _, err := t.exec(q); err != nil {
				return err
			}
		}
		_, err := t.exec(`UPDATE report_cursor SET version = ?, step = 0, at = 0, oldest = 0 WHERE id = 1`, report.Version)
		return err
	})
}

// ReportRows gives the sink every row that touches the period from (inclusive)
// to to, as they were when everything up to step had been folded; step 0 means
// now. sink is first told which step that is, and until when the log was read.
// A step that is not folded yet, or so old that the rows as they were are gone,
// is refused.
func (r *Reports) ReportRows(ctx context.Context, step usher.Step, from, to time.Time, sink func(report.AsOf) (report.Sink, error)) error {
	err := r.rows(ctx, step, from, to, sink)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*usher.Error](err); ok {
		return err
	}
	return fmt.Errorf("read report rows: %w", err)
}

func (r *Reports) rows(ctx context.Context, step usher.Step, from, to time.Time, sink func(report.AsOf) (report.Sink, error)) error {
	// One transaction sees cursor and rows as they were written together.
	tx, err := r.db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it only read
	var cur reportCursor
	if err := cur.scan(tx.QueryRowContext(ctx, readReportCursor)); err != nil {
		return err
	}
	asOf := report.AsOf{Step: cur.step, At: cur.at}
	if f := r.fresh.Load(); f != nil && f.Step == cur.step && f.At.After(asOf.At) {
		asOf.At = f.At
	}
	switch {
	case step > cur.step:
		e := usher.Errorf(usher.Unavailable, "reports have not come to step %d yet", step)
		e.RetryAfter = time.Second
		return e.At("query.as_of")
	case step > 0 && step < cur.oldest:
		e := usher.Errorf(usher.Unprocessable, "the rows as they were at step %d are no longer kept", step)
		e.Hint = "read the report again and use its as_of"
		return e.At("query.as_of")
	case step > 0:
		asOf.Step = step
	}
	into, err := sink(asOf)
	if err != nil {
		return err
	}
	var d report.Decoder
	var raw sql.RawBytes
	var c report.Conversation
	if err := r.versions(ctx, tx, conversationsAt, asOf.Step, from, to, &raw, func() error {
		if err := d.Conversation(raw, &c); err != nil {
			return err
		}
		into.Add(&c)
		return nil
	}); err != nil {
		return err
	}
	var s report.Shift
	return r.versions(ctx, tx, intervalsAt, asOf.Step, from, to, &raw, func() error {
		if err := d.Shift(raw, &s); err != nil {
			return err
		}
		into.AddShift(&s)
		return nil
	})
}

// Rows as they were at a step: those that have not changed since, and those that have.
const (
	conversationsAt = `SELECT doc FROM report_conversations WHERE begins_at < ?1 AND ends_at >= ?2 AND since <= ?3
		UNION ALL SELECT doc FROM report_past
		WHERE kind = 'conversation' AND until > ?3 AND since <= ?3 AND begins_at < ?1 AND ends_at >= ?2`
	intervalsAt = `SELECT doc FROM report_intervals WHERE begins_at < ?1 AND ends_at >= ?2 AND since <= ?3
		UNION ALL SELECT doc FROM report_past
		WHERE kind = 'interval' AND until > ?3 AND since <= ?3 AND begins_at < ?1 AND ends_at >= ?2`
)

// versions reads the rows that a query of the above finds.
func (r *Reports) versions(ctx context.Context, tx *sql.Tx, query string, step usher.Step, from, to time.Time, raw *sql.RawBytes, fn func() error) error {
	rows, err := tx.QueryContext(ctx, query, nanos(to), nanos(from), step)
	if err != nil {
		return err
	}
	return eachRow(rows, func(scan func(...any) error) error {
		if err := scan(raw); err != nil {
			return err
		}
		return fn()
	})
}
