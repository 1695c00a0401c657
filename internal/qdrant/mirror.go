package qdrant

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"usher"
)

// Memory is the index that has everything and always answers.
type Memory interface {
	Upsert(ctx context.Context, collection string, rows []usher.VectorRow) error
	Delete(ctx context.Context, collection string, ids ...string) error
	Search(ctx context.Context, collection string, v usher.Vec, k int) ([]usher.Hit, error)
	// Len, IDs and Vectors tell what a collection holds: vectors of length 1, nil
	// for an id that is not there.
	Len(collection string) int
	IDs(collection string) []string
	Vectors(collection string, ids []string) []usher.Vec
}

// MirrorConfig of a Mirror.
type MirrorConfig struct {
	Memory  Memory
	Log     *slog.Logger
	Every   time.Duration // between two looks at the server; defaults to 5 s
	Recount time.Duration // between two comparisons of sizes; defaults to 5 min
	Open    time.Duration // for which the breaker spares the server; defaults to 5 s
}

// WithDefaults fills the fields left empty.
func (c MirrorConfig) WithDefaults() MirrorConfig {
	c.Every = cmp.Or(c.Every, 5*time.Second)
	c.Recount = cmp.Or(c.Recount, 5*time.Minute)
	c.Open = cmp.Or(c.Open, 5*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// slowest is the longest time between two tries at a server that does not take what
// it is given.
const slowest = time.Minute

// trip is how many searches in a row must fail before the server is spared.
const trip = 3

// Mirror is an index in memory with a copy in Qdrant. What is written is in memory at
// once and in Qdrant soon: no writer waits for the server. A search goes to Qdrant
// where the copy is known to be whole, and to memory wherever it is not, or fails, or
// is late: it sees what was written before it, and never fails for want of a server.
// Run keeps the copy; one process at a time may keep the copies of one prefix.
// It is safe for concurrent use.
type Mirror struct {
	cfg     MirrorConfig
	index   *Index
	breaker *gobreaker.CircuitBreaker[[]usher.Hit]
	wake    chan struct{}

	mu     sync.Mutex
	copies map[string]*mirrored // by collection
	latest map[string]string    // kind -> the collection that came last
	here   bool                 // the server answered when last asked
	told   bool                 // that it is away

	byServer, byMemory atomic.Uint64

	recounted time.Time // of Run alone, as the rest
	failures  int
}

// mirrored is how far the copy of a collection is behind.
type mirrored struct {
	whole    bool                // everything is to be compared
	busy     bool                // Run is at it
	changed  map[string]struct{} // ids to be written again
	promoted bool                // the alias leads here
}

func (c *mirrored) inStep() bool { return !c.whole && !c.busy && len(c.changed) == 0 }

// NewMirror returns a mirror of memory in a server; Run makes the copy. Memory must
// be written through the mirror only.
func NewMirror(index *Index, cfg MirrorConfig) *Mirror {
	m := &Mirror{
		cfg: cfg.WithDefaults(), index: index, wake: make(chan struct{}, 1),
		copies: map[string]*mirrored{}, latest: map[string]string{},
	}
	m.breaker = gobreaker.NewCircuitBreaker[[]usher.Hit](gobreaker.Settings{
		Name: "qdrant", MaxRequests: 1, Timeout: m.cfg.Open,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= trip },
		IsSuccessful: func(err error) bool {
			// Neither impatient callers nor wrong requests say anything about the server.
			return err == nil || errors.Is(err, context.Canceled) || errors.Is(err, errCaller) || usher.CodeOf(err) == usher.InvalidArgument
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			m.cfg.Log.LogAttrs(context.Background(), slog.LevelWarn, "qdrant breaker", slog.String("from", from.String()), slog.String("to", to.String()))
		},
	})
	return m
}

// errCaller marks a search that its caller has given up.
var errCaller = errors.New("the caller has given up")

// Upsert puts rows into a collection; see Index.
func (m *Mirror) Upsert(ctx context.Context, name string, rows []usher.VectorRow) error {
	if err := m.cfg.Memory.Upsert(ctx, name, rows); err != nil {
		return err //nolint:wrapcheck // memory speaks for both
	}
	if len(rows) == 0 {
		return nil
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	m.note(name, ids, true)
	return nil
}

// Delete removes ids from a collection; see Index.
func (m *Mirror) Delete(ctx context.Context, name string, ids ...string) error {
	if err := m.cfg.Memory.Delete(ctx, name, ids...); err != nil {
		return err //nolint:wrapcheck // memory speaks for both
	}
	m.note(name, ids, false)
	return nil
}

// note writes down what Run has to do.
func (m *Mirror) note(name string, ids []string, rows bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.copies[name]
	switch {
	case c == nil && !rows:
		return // nothing was ever put there
	case c == nil:
		c = &mirrored{whole: true, changed: map[string]struct{}{}}
		m.copies[name] = c
		kind, _, _ := strings.Cut(name, ":")
		m.latest[kind] = name
	case !c.whole:
		for _, id := range ids {
			c.changed[id] = struct{}{}
		}
	}
	if m.here {
		m.poke()
	}
}

func (m *Mirror) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Search returns the k nearest of a collection; see Index.
func (m *Mirror) Search(ctx context.Context, name string, v usher.Vec, k int) ([]usher.Hit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if k > 0 && k <= MaxHits && m.inStep(name) {
		if hits, ok := m.ask(ctx, name, v, k); ok {
			m.byServer.Add(1)
			return hits, nil
		}
	}
	m.byMemory.Add(1)
	return m.cfg.Memory.Search(ctx, name, v, k) //nolint:wrapcheck // memory speaks for both
}

func (m *Mirror) inStep(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.copies[name]
	return m.here && c != nil && c.inStep()
}

// ask searches the server; false means that memory has to answer.
func (m *Mirror) ask(ctx context.Context, name string, v usher.Vec, k int) ([]usher.Hit, bool) {
	want := min(k, m.cfg.Memory.Len(name))
	end, limited := ctx.Deadline()
	limited = limited && time.Until(end) < m.index.cfg.Search // the server may see its end before we do
	hits, err := m.breaker.Execute(func() ([]usher.Hit, error) {
		hits, err := m.index.search(ctx, m.index.name(name), v, k)
		if err != nil && (ctx.Err() != nil || limited && status.Code(cause(err)) == codes.DeadlineExceeded) {
			return nil, errCaller
		}
		return hits, err
	})
	switch {
	case err == nil && len(hits) >= want:
		return hits, true
	case err == nil, absent(err): // something is lost there
		m.mu.Lock()
		defer m.mu.Unlock()
		m.copies[name].whole, m.copies[name].promoted = true, false
		m.poke()
	case !errors.Is(err, errCaller):
		m.poke() // is it there at all?
	}
	return nil, false
}

// Stats tells who answers.
func (m *Mirror) Stats() (up bool, byServer, byMemory uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	up = m.here && m.breaker.State() != gobreaker.StateOpen
	for _, c := range m.copies {
		up = up && c.inStep()
	}
	return up, m.byServer.Load(), m.byMemory.Load()
}

// Run keeps the copy until ctx ends: it looks at the server again and again, and
// whenever something was written.
func (m *Mirror) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-m.wake:
			if m.failures > 0 {
				continue // the timer knows when to try again
			}
		}
		wait := m.cfg.Every
		if err := m.look(ctx); err != nil {
			m.failures++
			wait = min(m.cfg.Every<<min(m.failures-1, 8), max(slowest, m.cfg.Every))
			if ctx.Err() == nil {
				m.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "qdrant not in step: memory answers", slog.Any("error", err))
			}
		} else {
			m.failures = 0
		}
		timer.Reset(wait)
	}
}

// look asks whether the server is there, and brings the copy in step. Being away is
// no error of the copy.
func (m *Mirror) look(ctx context.Context) error {
	version, err := m.index.Check(ctx)
	if err != nil {
		m.away(ctx, err)
		return nil
	}
	m.mu.Lock()
	back := !m.here
	m.here, m.told = true, false
	m.mu.Unlock()
	if back {
		// Whatever was known of it may have been before a loss.
		m.index.forget()
		m.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "qdrant is there", slog.String("version", version))
		m.recounted = time.Now()
	}
	if time.Since(m.recounted) >= m.cfg.Recount {
		if err := m.recount(ctx); err != nil {
			return err
		}
		m.recounted = time.Now()
	}
	var first error
	for _, name := range m.names() {
		if err := m.bring(ctx, name); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (m *Mirror) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.copies))
}

// away notes that the server is not there: all it had will be compared.
func (m *Mirror) away(ctx context.Context, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.here = false
	for _, c := range m.copies {
		c.whole, c.promoted = true, false
		clear(c.changed)
	}
	if !m.told && ctx.Err() == nil {
		m.told = true
		m.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "qdrant is away: memory answers", slog.Any("error", err))
	}
}

// recount finds copies that have lost or gained something behind our back.
func (m *Mirror) recount(ctx context.Context) error {
	for _, name := range m.names() {
		if !m.inStep(name) {
			continue
		}
		want := m.cfg.Memory.Len(name)
		n, err := m.index.count(ctx, m.index.name(name))
		if err != nil && !absent(err) {
			return err
		}
		if err != nil || n != want {
			m.mu.Lock()
			m.copies[name].whole, m.copies[name].promoted = true, false
			m.mu.Unlock()
		}
	}
	return nil
}

// bring brings the copy of one collection in step.
func (m *Mirror) bring(ctx context.Context, name string) error {
	m.mu.Lock()
	c := m.copies[name]
	whole, changed := c.whole, slices.Collect(maps.Keys(c.changed))
	busy := whole || len(changed) > 0
	c.whole, c.busy = false, busy
	clear(c.changed)
	m.mu.Unlock()

	var err error
	switch {
	case whole:
		err = m.compare(ctx, name)
	case busy:
		err = m.write(ctx, m.index.name(name), name, changed)
	}
	if err == nil {
		err = m.promote(ctx, name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c.busy = false
	if err != nil {
		c.whole = true
	}
	if whole && err == nil {
		m.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "qdrant answers", slog.String("collection", name), slog.Int("vectors", m.cfg.Memory.Len(name)))
	}
	return err
}

// compare makes the copy of a collection what memory has, by writing what differs.
func (m *Mirror) compare(ctx context.Context, name string) error {
	remote := m.index.name(name)
	ids := m.cfg.Memory.IDs(name)
	if c, err := m.index.look(ctx, remote); err == nil && len(ids) > 0 {
		// An embedding whose vectors have another length than when the copy was made.
		if v := m.cfg.Memory.Vectors(name, ids[:1])[0]; v != nil && len(v) != c.dim {
			if err := m.index.drop(ctx, remote); err != nil {
				return err
			}
		}
	}
	has, err := m.index.contents(ctx, remote)
	if err != nil && !absent(err) {
		return err
	}
	for some := range slices.Chunk(ids, batchRows) {
		var differ []string
		vectors := m.cfg.Memory.Vectors(name, some)
		for i, id := range some {
			p := pointID(id)
			if h, ok := has[p]; vectors[i] != nil && (!ok || h != hash(vectors[i])) {
				differ = append(differ, id)
			}
			delete(has, p)
		}
		if err := m.write(ctx, remote, name, differ); err != nil {
			return err
		}
	}
	return m.index.remove(ctx, remote, slices.Sorted(maps.Keys(has)))
}

// write makes ids of the copy what they are in memory.
func (m *Mirror) write(ctx context.Context, remote, name string, ids []string) error {
	for some := range slices.Chunk(ids, batchRows) {
		var put, gone []string
		var units []usher.Vec
		for i, v := range m.cfg.Memory.Vectors(name, some) {
			if v == nil {
				gone = append(gone, pointID(some[i]))
				continue
			}
			put, units = append(put, some[i]), append(units, v)
		}
		if err := m.index.put(ctx, remote, put, units); err != nil {
			return err
		}
		if err := m.index.remove(ctx, remote, gone); err != nil && !absent(err) {
			return err
		}
	}
	return nil
}

// promote lets the alias of a kind lead to its latest collection once that is whole.
func (m *Mirror) promote(ctx context.Context, name string) error {
	kind, _, _ := strings.Cut(name, ":")
	m.mu.Lock()
	do := m.latest[kind] == name && !m.copies[name].promoted && m.cfg.Memory.Len(name) > 0
	m.mu.Unlock()
	if !do {
		return nil
	}
	var keep []string
	for _, n := range m.names() {
		keep = append(keep, m.index.name(n))
	}
	if err := m.index.promote(ctx, kind, m.index.name(name), keep); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.copies[name].promoted = true
	return nil
}
