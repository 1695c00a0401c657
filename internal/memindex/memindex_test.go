package memindex_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

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
