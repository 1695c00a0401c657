package qdrant

import (
	"context"
	"strings"
	"testing"
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
