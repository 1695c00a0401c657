package qdrant_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	api "github.com/qdrant/go-client/qdrant"

	"usher"
	"usher/internal/memindex"
	"usher/internal/qdrant"
)

// run runs m until the test ends.
func run(t testing.TB, m *qdrant.Mirror) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(30 * time.Second); !ok(); {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-ticker.C:
		}
	}
}

func up(m *qdrant.Mirror) bool { ok, _, _ := m.Stats(); return ok }

func rows(n int) []usher.VectorRow {
	out := make([]usher.VectorRow, n)
	for i := range out {
		out[i] = usher.VectorRow{Kind: "faq", ID: fmt.Sprintf("e%02d#1", i), Vector: usher.Vector{Embedding: "e-1", Full: usher.Vec{float32(i + 1), float32(n - i), 1}}}
	}
	return out
}

// same demands that m answers as memory does, and says who answered.
func same(t testing.TB, m *qdrant.Mirror, mem *memindex.Index, collection string) (byServer bool) {
	t.Helper()
	_, before, _ := m.Stats()
	got, err := m.Search(t.Context(), collection, usher.Vec{3, 1, 0}, 5)
	if err != nil {
		t.Fatal(err)
	}
	want, err := mem.Search(t.Context(), collection, usher.Vec{3, 1, 0}, 5)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-4)); diff != "" {
		t.Errorf("hits (-memory +mirror):\n%s", diff)
	}
	_, after, _ := m.Stats()
	return after > before
}

// quick looks often, so that tests are short.
func quick(mem *memindex.Index) qdrant.MirrorConfig {
	return qdrant.MirrorConfig{Memory: mem, Every: 20 * time.Millisecond, Recount: 40 * time.Millisecond, Open: 30 * time.Millisecond}
}

func put(t testing.TB, m *qdrant.Mirror, collection string, rows ...usher.VectorRow) {
	t.Helper()
	if err := m.Upsert(t.Context(), collection, rows); err != nil {
		t.Fatal(err)
	}
}

func TestAwayAndBack(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.stop() // away when it starts
	cfg := f.config(t)
	var log buffer
	mem := memindex.New()
	mc := quick(mem)
	mc.Log = slog.New(slog.NewTextHandler(&log, nil))
	m := mirror(t, cfg, mc)
	put(t, m, "faq:e-1", rows(30)...)
	if same(t, m, mem, "faq:e-1") {
		t.Error("a server that is away has answered")
	}
	until(t, "the warning", func() bool { return strings.Contains(log.String(), "qdrant is away: memory answers") })

	f.start(t)
	until(t, "in step", func() bool { return up(m) })
	if !same(t, m, mem, "faq:e-1") {
		t.Error("memory has answered")
	}
	f.set(func() {
		if f.written != 30 || f.aliases[cfg.Prefix+"_faq"] != cfg.Prefix+"_faq_e-1" {
			t.Errorf("%d points were written, aliases %v", f.written, f.aliases)
		}
	})

	f.stop() // searches fail before anybody has looked
	for range 50 {
		same(t, m, mem, "faq:e-1")
	}
	until(t, "away", func() bool { return !up(m) })
	put(t, m, "faq:e-1", usher.VectorRow{ID: "new", Vector: usher.Vector{Full: usher.Vec{3, 1, 0}}})
	if err := m.Delete(t.Context(), "faq:e-1", "e29#1", "e28#1"); err != nil {
		t.Fatal(err)
	}
	if same(t, m, mem, "faq:e-1") {
		t.Error("a server that is away has answered")
	}
	f.start(t)
	until(t, "in step again", func() bool { return up(m) })
	if !same(t, m, mem, "faq:e-1") {
		t.Error("memory has answered")
	}
	f.set(func() {
		if n := len(f.collections[cfg.Prefix+"_faq_e-1"].points); n != 29 || f.written != 31 {
			t.Errorf("%d points are there, %d were written: only what was missed", n, f.written)
		}
	})

	f.set(func() { clear(f.collections); clear(f.aliases) }) // all is lost, and nobody was told
	until(t, "written again", func() bool {
		same(t, m, mem, "faq:e-1")
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.collections[cfg.Prefix+"_faq_e-1"] != nil && len(f.collections[cfg.Prefix+"_faq_e-1"].points) == 29
	})
	if n := strings.Count(log.String(), "qdrant is away"); n != 2 {
		t.Errorf("it was said %d times that it is away:\n%s", n, log.String())
	}
}

func TestWritesAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	mem := memindex.New()
	m := mirror(t, f.config(t), quick(mem))
	for i, r := range rows(40) {
		put(t, m, "faq:e-1", r)
		if i%3 == 0 {
			until(t, "in step", func() bool { return up(m) })
		}
		if i%5 == 4 {
			if err := m.Delete(t.Context(), "faq:e-1", rows(40)[i-1].ID); err != nil {
				t.Fatal(err)
			}
		}
		same(t, m, mem, "faq:e-1")
	}
	until(t, "in step", func() bool { return up(m) })
	if !same(t, m, mem, "faq:e-1") {
		t.Error("memory has answered")
	}
}

func TestLossIsNoticed(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	mem := memindex.New()
	cfg := f.config(t)
	m := mirror(t, cfg, quick(mem))
	put(t, m, "faq:e-1", rows(30)...)
	until(t, "in step", func() bool { return up(m) })
	points := func() map[string]*api.PointStruct { return f.collections[cfg.Prefix+"_faq_e-1"].points }
	f.set(func() {
		for id := range points() {
			delete(points(), id)
			break
		}
	})
	until(t, "whole again, by its size", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(points()) == 30
	})
}

func TestAnswerThatIsTooShort(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	mem := memindex.New()
	cfg := f.config(t)
	mc := quick(mem)
	mc.Every, mc.Recount = time.Hour, time.Hour // only the search can notice
	m := mirror(t, cfg, mc)
	put(t, m, "faq:e-1", rows(3)...)
	until(t, "in step", func() bool { return up(m) })
	f.set(func() { clear(f.collections[cfg.Prefix+"_faq_e-1"].points) })
	if same(t, m, mem, "faq:e-1") {
		t.Error("the server has answered with less than there is")
	}
	until(t, "whole again", func() bool { return up(m) && same(t, m, mem, "faq:e-1") })
}

func TestNewEmbeddingIsBuiltBeside(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	cfg := f.config(t)
	mem := memindex.New()
	f.set(func() { // of earlier runs, and of somebody else
		for _, n := range []string{"_faq_e-0", "_faq_older"} {
			f.collections[cfg.Prefix+n] = &fakeCollection{dim: 3, points: map[string]*api.PointStruct{}}
		}
		f.collections["another_faq_e-0"] = &fakeCollection{dim: 3}
		f.aliases[cfg.Prefix+"_faq"] = cfg.Prefix + "_faq_e-0"
	})
	m := mirror(t, cfg, quick(mem))
	has := func() (names []string, alias string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for n := range f.collections {
			names = append(names, strings.TrimPrefix(n, cfg.Prefix))
		}
		return names, strings.TrimPrefix(f.aliases[cfg.Prefix+"_faq"], cfg.Prefix)
	}
	put(t, m, "faq:e-1", rows(10)...)
	put(t, m, "agents:e-1", rows(2)...)
	until(t, "the alias moves", func() bool { _, a := has(); return a == "_faq_e-1" && up(m) })
	put(t, m, "faq:e/2", rows(10)...)
	until(t, "the alias moves on", func() bool { _, a := has(); return strings.HasPrefix(a, "_faq_e-2-") && up(m) })
	names, alias := has()
	sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	if diff := cmp.Diff([]string{"_agents_e-1", "_faq_e-1", alias, "another_faq_e-0"}, names, sorted); diff != "" {
		t.Errorf("collections (-want +got):\n%s", diff)
	}
	for _, c := range []string{"faq:e-1", "faq:e/2", "agents:e-1"} {
		if !same(t, m, mem, c) {
			t.Errorf("memory has answered for %s", c)
		}
	}
}

// A port that takes connections and says nothing.
func TestSilentPort(t *testing.T) {
	t.Parallel()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := at(t, ln.Addr().String())
	cfg.Search, cfg.Write, cfg.Health = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	x := open(t, cfg)
	start := time.Now()
	if _, err := x.Check(t.Context()); usher.CodeOf(err) != usher.Unavailable {
		t.Errorf("check: %v", err)
	}
	if _, err := x.Search(t.Context(), "c", usher.Vec{1, 0}, 1); usher.CodeOf(err) != usher.Unavailable {
		t.Errorf("search: %v", err)
	}
	if err := x.Upsert(t.Context(), "c", rows(1)); usher.CodeOf(err) != usher.Unavailable {
		t.Errorf("upsert: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second { // three deadlines of 50 ms, on a busy machine
		t.Errorf("it took %v", took)
	}
	mem := memindex.New()
	m := mirror(t, cfg, quick(mem))
	put(t, m, "faq:e-1", rows(5)...)
	if same(t, m, mem, "faq:e-1") || up(m) {
		t.Error("nobody is there")
	}
}

// A server that is well, and answers no search: the breaker spares it, and tries again.
func TestBreaker(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	cfg := f.config(t)
	cfg.Search = 30 * time.Millisecond
	var log buffer
	mem := memindex.New()
	mc := quick(mem)
	mc.Log, mc.Open = slog.New(slog.NewTextHandler(&log, nil)), 300*time.Millisecond
	mc.Recount = time.Hour
	m := mirror(t, cfg, mc)
	put(t, m, "faq:e-1", rows(5)...)
	until(t, "in step", func() bool { return up(m) && same(t, m, mem, "faq:e-1") })
	f.set(func() { f.hang, f.hung = true, 0 })
	for range 1000 {
		same(t, m, mem, "faq:e-1")
		if strings.Contains(log.String(), "to=open") {
			break
		}
	}
	start, asked := time.Now(), 0
	f.set(func() { asked = f.hung })
	for range 200 {
		same(t, m, mem, "faq:e-1")
	}
	f.set(func() {
		if most := 1 + int(time.Since(start)/mc.Open); f.hung-asked > most || asked > 5 {
			t.Errorf("a server that does not answer was asked %d times, then %d times in %v", asked, f.hung-asked, time.Since(start))
		}
	})
	f.set(func() { f.hang = false })
	until(t, "it answers again", func() bool { return same(t, m, mem, "faq:e-1") })
}

// Callers who give up say nothing about the server.
func TestImpatientCallers(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	mem := memindex.New()
	var log buffer
	mc := quick(mem)
	mc.Recount, mc.Every = time.Hour, time.Hour
	mc.Log = slog.New(slog.NewTextHandler(&log, nil))
	m := mirror(t, f.config(t), mc)
	put(t, m, "faq:e-1", rows(5)...)
	until(t, "in step", func() bool { return up(m) })
	f.set(func() { f.hang = true })
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		start := time.Now()
		if _, err := m.Search(ctx, "faq:e-1", usher.Vec{1, 0, 0}, 3); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(start); took > 5*time.Second { // the server's time would be 10 s
			t.Errorf("a search went on without its caller for %v", took)
		}
		cancel()
	}
	f.set(func() { f.hang = false })
	if !up(m) || !same(t, m, mem, "faq:e-1") || strings.Contains(log.String(), "breaker") {
		t.Errorf("the breaker has opened:\n%s", log.String())
	}
}

func TestKeyIsSentAndNeverTold(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	cfg := f.config(t)
	cfg.APIKey = "very-secret-key"
	var log buffer
	mem := memindex.New()
	mc := quick(mem)
	mc.Log = slog.New(slog.NewTextHandler(&log, nil))
	m := mirror(t, cfg, mc)
	put(t, m, "faq:e-1", rows(5)...)
	until(t, "in step", func() bool { return up(m) })
	f.stop()
	until(t, "away", func() bool { return !up(m) })
	until(t, "the warning", func() bool { return strings.Contains(log.String(), "is away") })
	f.set(func() {
		if !f.keys["very-secret-key"] {
			t.Error("the key was not sent")
		}
	})
	if strings.Contains(log.String(), "very-secret") || strings.Contains(fmt.Sprintf("%v %+v", cfg, cfg), "very-secret") {
		t.Errorf("the key was told:\n%s", log.String())
	}
}

func TestManyPages(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	mem := memindex.New()
	m := mirror(t, f.config(t), quick(mem))
	const n = 2500
	big := make([]usher.VectorRow, n)
	for i := range big {
		big[i] = usher.VectorRow{ID: strconv.Itoa(i), Vector: usher.Vector{Full: usher.Vec{float32(i), 1, 2}}}
	}
	put(t, m, "agents:e", big...)
	until(t, "in step", func() bool { return up(m) })
	if !same(t, m, mem, "agents:e") {
		t.Error("memory has answered")
	}
	f.set(func() {
		if calls := f.calls[api.Points_Upsert_FullMethodName]; calls != 3 || f.written != n {
			t.Errorf("%d points in %d calls", f.written, calls)
		}
	})
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
