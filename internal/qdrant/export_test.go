package qdrant

import (
	"context"
	"strings"
	"testing"
	"time"

	api "github.com/qdrant/go-client/qdrant"

	"usher"
)

// DropAll removes everything of an index's prefix from its server.
func DropAll(t testing.TB, x *Index) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	all, err := x.client.ListCollections(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, c := range all {
		if strings.HasPrefix(c, x.cfg.Prefix+"_") {
			if err := x.drop(ctx, c); err != nil {
				t.Error(err)
			}
		}
	}
}

// WaitIndexed waits until the server has built its graph: three green looks in a row.
func WaitIndexed(t testing.TB, x *Index, name string) {
	t.Helper()
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for green := 0; green < 3; <-ticker.C {
		info, err := x.client.GetCollectionInfo(t.Context(), x.name(name))
		if err != nil {
			t.Fatal(err)
		}
		green++
		if info.GetStatus() != api.CollectionStatus_Green {
			green = 0
		}
	}
}

// SearchWith searches with a width of one's own, 0 = the server's.
func SearchWith(t testing.TB, x *Index, name string, v usher.Vec, k int, ef uint64, exact bool) ([]usher.Hit, error) {
	t.Helper()
	params := &api.SearchParams{Exact: &exact}
	if ef > 0 {
		params.HnswEf = &ef
	}
	return x.query(t.Context(), x.name(name), unit(v), k, params)
}

// Contents reads what a resumed mirror compares.
func Contents(t testing.TB, x *Index, name string) {
	t.Helper()
	if _, err := x.contents(t.Context(), x.name(name)); err != nil {
		t.Fatal(err)
	}
}
