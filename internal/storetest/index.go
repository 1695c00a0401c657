package storetest

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"usher"
)

// Index is what every vector index must do. It is derived data: rebuildable from
// the store at any time.
type Index interface {
	Upsert(ctx context.Context, collection string, rows []usher.VectorRow) error
	Delete(ctx context.Context, collection string, ids ...string) error
	Search(ctx context.Context, collection string, v usher.Vec, k int) ([]usher.Hit, error)
}

// RunIndex holds an index to its contract. open returns an empty one, which is
// closed by t.Cleanup if it has to be.
func RunIndex(t *testing.T, open func(t *testing.T) Index) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Index){
		"finds the nearest by cosine":       indexFindsNearest,
		"agrees with a plain scan":          indexAgreesWithScan,
		"replaces rows of the same id":      indexReplaces,
		"deletes, also what is not there":   indexDeletes,
		"keeps collections apart":           indexKeepsApart,
		"an absent collection is empty":     indexAbsent,
		"refuses vectors it cannot compare": indexRefuses,
		"stops at a cancelled context":      indexStops,
		"takes writers and readers at once": indexConcurrent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func vectorRow(id string, full ...float32) usher.VectorRow {
	return usher.VectorRow{Kind: "faq", ID: id, Vector: usher.Vector{Embedding: "test-1", Full: full}}
}

func put(t *testing.T, x Index, collection string, rows ...usher.VectorRow) {
	t.Helper()
	if err := x.Upsert(t.Context(), collection, rows); err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, x Index, collection string, v usher.Vec, k int) []string {
	t.Helper()
	hits, err := x.Search(t.Context(), collection, v, k)
	if err != nil {
		t.Fatal(err)
	}
	if hits == nil {
		t.Error("no hits are an empty list, not null")
	}
	ids := make([]string, len(hits))
	for i, h := range hits {
		ids[i] = h.ID
		if i > 0 && h.Score > hits[i-1].Score {
			t.Errorf("hits are not nearest first: %v", hits)
		}
	}
	return ids
}

func wantIDs(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func indexFindsNearest(t *testing.T, x Index) {
	t.Helper()
	put(t, x, "c", vectorRow("east", 1, 0, 0), vectorRow("north", 0, 1, 0), vectorRow("far-north-east", 5, 5, 0), vectorRow("west", -2, 0, 0))
	hits, err := x.Search(t.Context(), "c", usher.Vec{3, 0.3, 0}, 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []usher.Hit{{ID: "east", Score: 0.99504}, {ID: "far-north-east", Score: 0.77395}, {ID: "north", Score: 0.0995}, {ID: "west", Score: -0.99504}}
	if len(hits) != len(want) {
		t.Fatalf("found %v", hits)
	}
	for i, h := range hits {
		if h.ID != want[i].ID || math.Abs(float64(h.Score-want[i].Score)) > 1e-3 {
			t.Errorf("hit %d is %v, want %v: the score is the cosine", i, h, want[i])
		}
	}
	wantIDs(t, find(t, x, "c", usher.Vec{3, 0.3, 0}, 2), "east", "far-north-east")
	wantIDs(t, find(t, x, "c", usher.Vec{1, 1, 1}, 0))
	// Without a full vector the match vector counts.
	put(t, x, "m", usher.VectorRow{Kind: "agent", ID: "a", Vector: usher.Vector{Match: usher.Vec{0, 1}}})
	wantIDs(t, find(t, x, "m", usher.Vec{0, 1}, 3), "a")
}

func indexAgreesWithScan(t *testing.T, x Index) {
	t.Helper()
	const n, dim, k = 300, 24, 7
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a fixed seed, no secret
	random := func() usher.Vec {
		v := make(usher.Vec, dim)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return v
	}
	var rows []usher.VectorRow
	for i := range n {
		rows = append(rows, vectorRow(fmt.Sprintf("%03d", i), random()...))
	}
	put(t, x, "c", rows...)
	for range 20 {
		q := random()
		type scored struct {
			id    string
			score float64
		}
		var all []scored
		for _, row := range rows {
			var ab, aa, bb float64
			for i, a := range row.Vector.Full {
				b := float64(q[i])
				ab, aa, bb = ab+float64(a)*b, aa+float64(a)*float64(a), bb+b*b
			}
			all = append(all, scored{row.ID, ab / math.Sqrt(aa*bb)})
		}
		slices.SortFunc(all, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
		var want []string
		for _, s := range all[:k] {
			want = append(want, s.id)
		}
		wantIDs(t, find(t, x, "c", q, k), want...)
	}
}

func indexReplaces(t *testing.T, x Index) {
	t.Helper()
	put(t, x, "c", vectorRow("a", 1, 0), vectorRow("b", 0, 1))
	put(t, x, "c", vectorRow("a", -1, 0))
	wantIDs(t, find(t, x, "c", usher.Vec{1, 0.1}, 10), "b", "a")
	put(t, x, "c")
	wantIDs(t, find(t, x, "c", usher.Vec{1, 0.1}, 10), "b", "a")
}

func indexDeletes(t *testing.T, x Index) {
	t.Helper()
	put(t, x, "c", vectorRow("a", 1, 0), vectorRow("b", 0.9, 0.1), vectorRow("c", 0, 1))
	if err := x.Delete(t.Context(), "c", "a", "absent"); err != nil {
		t.Fatal(err)
	}
	if err := x.Delete(t.Context(), "absent", "a"); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, find(t, x, "c", usher.Vec{1, 0}, 10), "b", "c")
	put(t, x, "c", vectorRow("a", 1, 0))
	wantIDs(t, find(t, x, "c", usher.Vec{1, 0}, 10), "a", "b", "c")
	if err := x.Delete(t.Context(), "c", "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, find(t, x, "c", usher.Vec{1, 0}, 10))
}

func indexKeepsApart(t *testing.T, x Index) {
	t.Helper()
	put(t, x, "c", vectorRow("a", 1, 0))
	put(t, x, "d", vectorRow("a", 0, 1, 0), vectorRow("b", 1, 0, 0))
	wantIDs(t, find(t, x, "c", usher.Vec{1, 0}, 10), "a")
	wantIDs(t, find(t, x, "d", usher.Vec{1, 0, 0}, 10), "b", "a")
}

func indexAbsent(t *testing.T, x Index) {
	t.Helper()
	wantIDs(t, find(t, x, "absent", usher.Vec{1, 0}, 10))
}

func indexRefuses(t *testing.T, x Index) {
	t.Helper()
	put(t, x, "c", vectorRow("a", 1, 0))
	nan := float32(math.NaN())
	for name, rows := range map[string][]usher.VectorRow{
		"another dimension":   {vectorRow("b", 0, 1), vectorRow("c", 1, 0, 0)},
		"zeros":               {vectorRow("b", 0, 0)},
		"what is no number":   {vectorRow("b", 1, nan)},
		"no vector":           {vectorRow("b")},
		"a bad one after all": {vectorRow("b", 0, 1), vectorRow("d", nan, nan)},
	} {
		if err := x.Upsert(t.Context(), "c", rows); usher.CodeOf(err) != usher.InvalidArgument {
			t.Errorf("upsert of %s: %v", name, err)
		}
	}
	wantIDs(t, find(t, x, "c", usher.Vec{1, 0}, 10), "a") // all or none
	for name, v := range map[string]usher.Vec{"another dimension": {1, 0, 0}, "zeros": {0, 0}, "what is no number": {nan, 1}, "nothing": nil} {
		if _, err := x.Search(t.Context(), "c", v, 10); usher.CodeOf(err) != usher.InvalidArgument {
			t.Errorf("search for %s: %v", name, err)
		}
	}
}

func indexStops(t *testing.T, x Index) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Upsert(ctx, "c", []usher.VectorRow{vectorRow("a", 1, 0)}); err == nil {
		t.Error("upsert went on")
	}
	if _, err := x.Search(ctx, "c", usher.Vec{1, 0}, 1); err == nil {
		t.Error("search went on")
	}
	if err := x.Delete(ctx, "c", "a"); err == nil {
		t.Error("delete went on")
	}
}

func indexConcurrent(t *testing.T, x Index) {
	t.Helper()
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 50 {
				id := fmt.Sprintf("%d-%d", w, i)
				if err := x.Upsert(t.Context(), "c", []usher.VectorRow{vectorRow(id, float32(i+1), float32(w+1))}); err != nil {
					t.Error(err)
				}
				if _, err := x.Search(t.Context(), "c", usher.Vec{1, 1}, 5); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					if err := x.Delete(t.Context(), "c", id); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if got := find(t, x, "c", usher.Vec{1, 1}, 1000); len(got) != 100 {
		t.Errorf("%d rows are left, want 100", len(got))
	}
}
