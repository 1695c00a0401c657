package memindex_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/memindex"
	"usher/internal/storetest"
)

func TestIndex(t *testing.T) {
	t.Parallel()
	storetest.RunIndex(t, func(*testing.T) storetest.Index { return memindex.New() })
}

func BenchmarkSearch(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			random := func() usher.Vec {
				v := make(usher.Vec, 384)
				for i := range v {
					v[i] = float32(r.NormFloat64())
				}
				return v
			}
			x := memindex.New()
			for i := range n {
				row := usher.VectorRow{ID: strconv.Itoa(i), Vector: usher.Vector{Full: random()}}
				if err := x.Upsert(b.Context(), "c", []usher.VectorRow{row}); err != nil {
					b.Fatal(err)
				}
			}
			q := random()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Search(b.Context(), "c", q, 10); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestContents(t *testing.T) {
	t.Parallel()
	x := memindex.New()
	if x.Len("c") != 0 || len(x.IDs("c")) != 0 || x.Vectors("c", []string{"a"})[0] != nil {
		t.Error("an absent collection has contents")
	}
	rows := []usher.VectorRow{{ID: "a", Vector: usher.Vector{Full: usher.Vec{3, 4}}}, {ID: "b", Vector: usher.Vector{Full: usher.Vec{0, 2}}}}
	if err := x.Upsert(t.Context(), "c", rows); err != nil {
		t.Fatal(err)
	}
	if err := x.Delete(t.Context(), "c", "b"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]usher.Vec{{.6, .8}, nil}, x.Vectors("c", []string{"a", "b"})); diff != "" {
		t.Errorf("vectors (-want +got):\n%s", diff)
	}
	x.Vectors("c", []string{"a"})[0][0] = 9 // a copy
	if got := x.Vectors("c", []string{"a"})[0][0]; got != .6 {
		t.Errorf("the index gave its own memory away: %v", got)
	}
	if diff := cmp.Diff([]string{"a"}, x.IDs("c")); diff != "" || x.Len("c") != 1 {
		t.Errorf("ids, %d (-want +got):\n%s", x.Len("c"), diff)
	}
}
