// Package memindex finds the nearest vectors by looking at all of them, in memory.
// It is exact, needs nothing, and is rebuilt from the store at start.
package memindex

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"sync"

	"usher"
)

// Index holds collections of vectors by name. The zero value is empty and ready.
// It is safe for concurrent use.
type Index struct {
	mu          sync.RWMutex
	collections map[string]*collection
}

// collection keeps its vectors one after the other, so that a search reads memory
// in order.
type collection struct {
	dim  int
	ids  []string
	at   map[string]int // id -> place
	data []float32      // place*dim …, each vector of length 1
}

// New returns an empty index.
func New() *Index { return &Index{} }

// vector returns what a row is found by: the full vector, else the match vector.
func vector(r usher.VectorRow) usher.Vec {
	if len(r.Vector.Full) > 0 {
		return r.Vector.Full
	}
	return r.Vector.Match
}

// Upsert puts rows into a collection, replacing those of the same id; all or none.
// A row is found by its full vector, or by its match vector when it has no other.
// InvalidArgument for a vector that has no direction or another dimension than its
// collection.
func (x *Index) Upsert(ctx context.Context, name string, rows []usher.VectorRow) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(rows) == 0 {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	c, ok := x.collections[name]
	dim := len(vector(rows[0]))
	if ok && len(c.ids) > 0 {
		dim = c.dim
	}
	units := make([][]float32, len(rows))
	for i, r := range rows {
		v := vector(r)
		if len(v) != dim {
			return usher.Errorf(usher.InvalidArgument, "vector of %q has %d dimensions, its collection %d", r.ID, len(v), dim)
		}
		if units[i] = unit(v); units[i] == nil {
			return usher.Errorf(usher.InvalidArgument, "vector of %q has no direction", r.ID)
		}
	}
	if !ok || c.dim != dim {
		c = &collection{dim: dim, at: map[string]int{}}
		if x.collections == nil {
			x.collections = map[string]*collection{}
		}
		x.collections[name] = c
	}
	for i, r := range rows {
		place, ok := c.at[r.ID]
		if !ok {
			place = len(c.ids)
			c.ids, c.at[r.ID] = append(c.ids, r.ID), place
			c.data = append(c.data, units[i]...)
			continue
		}
		copy(c.data[place*dim:], units[i])
	}
	return nil
}

// Delete removes ids from a collection; what is not there is no error.
func (x *Index) Delete(ctx context.Context, name string, ids ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	c, ok := x.collections[name]
	if !ok {
		return nil
	}
	for _, id := range ids {
		place, ok := c.at[id]
		if !ok {
			continue
		}
		last := len(c.ids) - 1 // the last one moves into the gap
		copy(c.data[place*c.dim:(place+1)*c.dim], c.data[last*c.dim:])
		c.ids[place] = c.ids[last]
		c.at[c.ids[place]] = place
		delete(c.at, id)
		c.ids, c.data = slices.Delete(c.ids, last, last+1), c.data[:last*c.dim]
	}
	return nil
}

// Search returns the k nearest of a collection by cosine, nearest first, ties by id.
// A collection that does not exist is empty. InvalidArgument for a vector that has
// no direction or another dimension than the collection.
func (x *Index) Search(ctx context.Context, name string, v usher.Vec, k int) ([]usher.Hit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q := unit(v)
	if q == nil {
		return nil, usher.Errorf(usher.InvalidArgument, "the vector to search for has no direction")
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	c, ok := x.collections[name]
	if !ok || k <= 0 || len(c.ids) == 0 {
		return []usher.Hit{}, nil
	}
	if len(q) != c.dim {
		return nil, usher.Errorf(usher.InvalidArgument, "the vector to search for has %d dimensions, the collection %d", len(q), c.dim)
	}
	hits := make([]usher.Hit, 0, min(k, len(c.ids)))
	for place, id := range c.ids {
		h := usher.Hit{ID: id, Score: dot(q, c.data[place*c.dim:(place+1)*c.dim])}
		if len(hits) == k && !nearer(h, hits[k-1]) {
			continue
		}
		if len(hits) == k {
			hits = hits[:k-1]
		}
		i, _ := slices.BinarySearchFunc(hits, h, func(a, b usher.Hit) int {
			if nearer(a, b) {
				return -1
			}
			return 1
		})
		hits = slices.Insert(hits, i, h)
	}
	return hits, nil
}

// Collections returns the names of the collections, in order.
func (x *Index) Collections() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.collections))
}

// Len returns how many vectors a collection has.
func (x *Index) Len(name string) int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if c, ok := x.collections[name]; ok {
		return len(c.ids)
	}
	return 0
}

// IDs returns the ids of a collection, in no order.
func (x *Index) IDs(name string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if c, ok := x.collections[name]; ok {
		return slices.Clone(c.ids)
	}
	return []string{}
}

// Vectors returns copies of the vectors of ids, of length 1 each; nil where a
// collection has none.
func (x *Index) Vectors(name string, ids []string) []usher.Vec {
	out := make([]usher.Vec, len(ids))
	x.mu.RLock()
	defer x.mu.RUnlock()
	c, ok := x.collections[name]
	if !ok {
		return out
	}
	for i, id := range ids {
		if place, ok := c.at[id]; ok {
			out[i] = slices.Clone(c.data[place*c.dim : (place+1)*c.dim])
		}
	}
	return out
}

func nearer(a, b usher.Hit) bool {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID)) < 0
}

// dot of two vectors of one length, in four independent sums that the processor can
// work on at once.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

// unit returns a copy of v of length 1, or nil if it has no direction.
func unit(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return nil
	}
	scale := 1 / math.Sqrt(sum)
	u := make([]float32, len(v))
	for i, x := range v {
		u[i] = float32(float64(x) * scale)
	}
	return u
}
