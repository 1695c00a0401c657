package qdrant_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"usher"
	"usher/internal/memindex"
	"usher/internal/qdrant"
)

// BenchmarkSearch measures searches of 384 dimensions by their percentiles, and how
// many of the ten nearest they find: among subjects, where what is looked for lies
// near what is there, as questions do, and among random vectors, where all are about
// equally far, which is the hardest there is.
//
//	USHER_TEST_QDRANT=127.0.0.1:6334 go test ./internal/qdrant -run - -bench Search/subjects -benchtime 300x -timeout 60m
func BenchmarkSearch(b *testing.B) {
	for _, tc := range []struct {
		name string
		n    int
	}{{"subjects", 1_000}, {"subjects", 10_000}, {"subjects", 100_000}, {"random", 100_000}} {
		n := tc.n
		b.Run(tc.name+"="+strconv.Itoa(n), func(b *testing.B) {
			cfg := server(b)
			cfg.Write = 5 * time.Minute
			x := open(b, cfg)
			b.Cleanup(func() { qdrant.DropAll(b, x) })
			mem := memindex.New()
			rows, queries := sample(n, 300, tc.name == "subjects")
			start := time.Now()
			if err := x.Upsert(b.Context(), "bench:e", rows); err != nil {
				b.Fatal(err)
			}
			fill := time.Since(start)
			if err := mem.Upsert(b.Context(), "bench:e", rows); err != nil {
				b.Fatal(err)
			}
			qdrant.WaitIndexed(b, x, "bench:e")
			ready := time.Since(start)
			start = time.Now()
			qdrant.Contents(b, x, "bench:e")
			fmt.Fprintf(os.Stderr, "%d vectors written in %v, graph built after %v; compared in %v\n", n, fill, ready, time.Since(start))
			want := make([][]usher.Hit, len(queries))
			for i, q := range queries {
				hits, err := mem.Search(b.Context(), "bench:e", q, 10)
				if err != nil {
					b.Fatal(err)
				}
				want[i] = hits
			}
			search := func(name string, do func(q usher.Vec) ([]usher.Hit, error)) {
				b.Run(name, func(b *testing.B) {
					for _, q := range queries[:20] { // warm
						if _, err := do(q); err != nil {
							b.Fatal(err)
						}
					}
					var took []time.Duration
					found, of := 0, 0
					for i := 0; b.Loop(); i++ {
						at := i % len(queries)
						start := time.Now()
						hits, err := do(queries[at])
						took = append(took, time.Since(start))
						if err != nil {
							b.Fatal(err)
						}
						for _, w := range want[at] {
							of++
							if slices.ContainsFunc(hits, func(h usher.Hit) bool { return h.ID == w.ID }) {
								found++
							}
						}
					}
					slices.Sort(took)
					ms := func(p float64) float64 { return took[int(p*float64(len(took)-1))].Seconds() * 1000 }
					b.ReportMetric(ms(.5), "p50-ms")
					b.ReportMetric(ms(.95), "p95-ms")
					b.ReportMetric(float64(found)/float64(of), "recall@10")
				})
			}
			search("memory", func(q usher.Vec) ([]usher.Hit, error) { return mem.Search(b.Context(), "bench:e", q, 10) })
			search("qdrant", func(q usher.Vec) ([]usher.Hit, error) { return x.Search(b.Context(), "bench:e", q, 10) })
			search("exact", func(q usher.Vec) ([]usher.Hit, error) { return qdrant.SearchWith(b, x, "bench:e", q, 10, 0, true) })
			for _, ef := range []uint64{0, 16, 64, 128, 256, 512} {
				search(fmt.Sprintf("ef=%d", ef), func(q usher.Vec) ([]usher.Hit, error) {
					return qdrant.SearchWith(b, x, "bench:e", q, 10, ef, false)
				})
			}
		})
	}
}

// sample makes n rows, with subjects around one for every 50, and queries, with
// subjects near some of the rows.
func sample(n, queries int, subjects bool) (rows []usher.VectorRow, qs []usher.Vec) {
	const dim = 384
	r := rand.New(rand.NewPCG(5, 6))
	around := func(v usher.Vec) usher.Vec {
		out := make(usher.Vec, dim)
		for i := range out {
			out[i] = float32(r.NormFloat64())
			if v != nil && subjects {
				out[i] += v[i]
			}
		}
		return out
	}
	centres := make([]usher.Vec, max(1, n/50))
	for i := range centres {
		centres[i] = around(nil)
	}
	for i := range n {
		rows = append(rows, usher.VectorRow{ID: strconv.Itoa(i), Vector: usher.Vector{Full: around(centres[r.IntN(len(centres))])}})
	}
	for range queries {
		qs = append(qs, around(rows[r.IntN(n)].Vector.Full))
	}
	return rows, qs
}
