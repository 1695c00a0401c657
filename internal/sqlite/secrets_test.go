package sqlite_test

import (
	"bytes"
	"testing"

	"usher/internal/sqlite"
)

func TestSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, dir, sqlite.Options{Sync: sqlite.SyncNormal})
	first, err := db.Secret(t.Context(), "link")
	if err != nil || len(first) != 32 {
		t.Fatalf("got %d bytes, %v", len(first), err)
	}
	again, err := db.Secret(t.Context(), "link")
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("asked again: another secret, %v", err)
	}
	other, err := db.Secret(t.Context(), "other")
	if err != nil || bytes.Equal(first, other) {
		t.Errorf("another name: the same secret, %v", err)
	}
}
