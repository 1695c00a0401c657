package sqlite

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"usher"
)

// Load rebuilds the floor from its rows, in one consistent reading. Without a
// published policy its version is 0; without a bundle it is zero.
func (db *DB) Load(ctx context.Context) (usher.Floor, usher.Step, error) {
	var f usher.Floor
	err := db.consistent(ctx, func(t *sql.Tx) (err error) {
		f, err = loadFloor(ctx, t)
		return err
	})
	if err != nil {
		return usher.Floor{}, 0, fmt.Errorf("load floor: %w", err)
	}
	return f, f.Step, nil
}

// consistent runs fn over one state of the database.
func (db *DB) consistent(ctx context.Context, fn func(*sql.Tx) error) error {
	t, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return errors.Join(fn(t), t.Rollback()) // nothing to keep
}

func loadFloor(ctx context.Context, t *sql.Tx) (f usher.Floor, err error) {
	var now int64
	if err := t.QueryRowContext(ctx, `SELECT step FROM dispatcher WHERE id = 1`).Scan(&f.Step); err != nil {
		return f, fmt.Errorf("read step: %w", err)
	}
	err = t.QueryRowContext(ctx, `SELECT now FROM inputs ORDER BY step DESC LIMIT 1`).Scan(&now)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return f, fmt.Errorf("read time: %w", err)
	}
	f.Now = timeOf(now)
	if f.Seed, f.Language, err = readMeta(ctx, t); err != nil {
		return f, err
	}
	if err := readLast(ctx, t, `SELECT doc FROM policies ORDER BY version DESC LIMIT 1`, &f.Policy); err != nil {
		return f, err
	}
	if err := readLast(ctx, t, `SELECT doc FROM bundles ORDER BY step DESC LIMIT 1`, &f.Bundle); err != nil {
		return f, err
	}
	if f.Agents, err = docs[usher.Agent](ctx, t, `SELECT doc FROM agents ORDER BY id`); err != nil {
		return f, err
	}
	if f.States, err = docs[usher.AgentState](ctx, t, `SELECT doc FROM agent_states ORDER BY agent_id`); err != nil {
		return f, err
	}
	if f.Conversations, err = docs[usher.Conversation](ctx, t,
		`SELECT doc FROM conversations WHERE status <> 'closed' ORDER BY id`); err != nil {
		return f, err
	}
	if f.Offers, err = docs[usher.Offer](ctx, t, `SELECT doc FROM offers WHERE state = 'pending' ORDER BY id`); err != nil {
		return f, err
	}
	f.Queues, err = docs[usher.QueueState](ctx, t, `SELECT doc FROM queue_states ORDER BY id`)
	return f, err
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readMeta(ctx context.Context, q querier) (seed uint64, language string, err error) {
	var s string
	err = q.QueryRowContext(ctx, `SELECT value, coalesce((SELECT value FROM meta WHERE key = 'language'), '')
		FROM meta WHERE key = 'seed'`).Scan(&s, &language)
	if err != nil {
		return 0, "", fmt.Errorf("read seed: %w", err)
	}
	if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
		return 0, "", fmt.Errorf("read seed: %w", err)
	}
	return seed, language, nil
}

func readLast(ctx context.Context, q querier, query string, v any) error {
	var raw sql.RawBytes
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("read %T: %w", v, err)
	}
	defer func() { _ = rows.Close() }() // Err tells
	for rows.Next() {
		if err := rows.Scan(&raw); err != nil {
			return fmt.Errorf("read %T: %w", v, err)
		}
		if err := json.Unmarshal(raw, v); err != nil {
			return fmt.Errorf("read %T: %w", v, err)
		}
	}
	return rows.Err()
}

// SnapshotBefore returns the newest floor kept of a step earlier than s. Without
// one it is the empty floor of this database, with its seed and language alone, and false.
func (db *DB) SnapshotBefore(ctx context.Context, s usher.Step) (usher.Floor, bool, error) {
	var body []byte
	err := db.read.QueryRowContext(ctx, `SELECT body FROM snapshots WHERE step < ? ORDER BY step DESC LIMIT 1`, s).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		seed, language, err := readMeta(ctx, db.read)
		if err != nil {
			return usher.Floor{}, false, fmt.Errorf("read snapshot: %w", err)
		}
		return usher.Floor{
			Seed: seed, Language: language, Agents: []usher.Agent{}, States: []usher.AgentState{}, Conversations: []usher.Conversation{},
			Offers: []usher.Offer{}, Queues: []usher.QueueState{},
		}, false, nil
	}
	if err != nil {
		return usher.Floor{}, false, fmt.Errorf("read snapshot: %w", err)
	}
	f, err := unpack(body)
	if err != nil {
		return usher.Floor{}, false, fmt.Errorf("read snapshot: %w", err)
	}
	return f, true, nil
}

func pack(f usher.Floor) ([]byte, error) {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(json.NewEncoder(z).Encode(f), z.Close()); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func unpack(body []byte) (f usher.Floor, err error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return f, err
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(raw, &f)
}

// inputsAtOnce bounds one read transaction of the journal.
const inputsAtOnce = 1000

// Inputs calls fn for the journaled inputs of the steps from <= step <= to, in
// order, and ends with fn's first error. User text is not in them.
func (db *DB) Inputs(ctx context.Context, from, to usher.Step, fn func(step usher.Step, now time.Time, in usher.Input) error) error {
	type entry struct {
		step usher.Step
		now  int64
		body string
	}
	part := make([]entry, 0, inputsAtOnce)
	for from <= to {
		part = part[:0]
		err := db.each(ctx, `SELECT step, now, body FROM inputs WHERE step BETWEEN ? AND ? ORDER BY step LIMIT ?`,
			[]any{from, to, inputsAtOnce}, func(scan func(...any) error) error {
				var e entry
				if err := scan(&e.step, &e.now, &e.body); err != nil {
					return err
				}
				part = append(part, e)
				return nil
			})
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		if len(part) == 0 {
			return nil
		}
		for _, e := range part {
			var in usher.Input
			if err := json.Unmarshal([]byte(e.body), &in); err != nil {
				return fmt.Errorf("read journal: step %d: %w", e.step, err)
			}
			if err := fn(e.step, timeOf(e.now), in); err != nil {
				return err
			}
		}
		from = part[len(part)-1].step + 1
	}
	return nil
}
