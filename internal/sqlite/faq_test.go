package sqlite_test

import (
	"testing"

	"usher/internal/sqlite"
	"usher/internal/storetest"
)

func TestFAQ(t *testing.T) {
	t.Parallel()
	storetest.RunFAQ(t, func(t *testing.T) storetest.FAQStore {
		t.Helper()
		return open(t, t.TempDir(), sqlite.Options{Sync: sqlite.SyncNormal})
	})
}
