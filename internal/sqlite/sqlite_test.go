package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usher"
	"usher/internal/sqlite"
	"usher/internal/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(tb testing.TB, dir string, opt sqlite.Options) *sqlite.DB {
	tb.Helper()
	db, err := sqlite.Open(context.Background(), filepath.Join(dir, "usher.db"), opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.RunStore(t, func(t *testing.T) storetest.Store {
		t.Helper()
		return open(t, t.TempDir(), sqlite.Options{Sync: sqlite.SyncNormal})
	})
}

func TestWeb(t *testing.T) {
	t.Parallel()
	storetest.RunWeb(t, func(t *testing.T) storetest.WebStore {
		t.Helper()
		return open(t, t.TempDir(), sqlite.Options{Sync: sqlite.SyncNormal})
	})
}

func TestChannels(t *testing.T) {
	t.Parallel()
	storetest.RunChannels(t, func(t *testing.T) storetest.Channels {
		t.Helper()
		return open(t, t.TempDir(), sqlite.Options{Sync: sqlite.SyncNormal})
	})
}

func TestPeople(t *testing.T) {
	t.Parallel()
	storetest.RunPeople(t, func(t *testing.T) storetest.People {
		t.Helper()
		return open(t, t.TempDir(), sqlite.Options{Sync: sqlite.SyncNormal})
	})
}

func TestEmail(t *testing.T) {
	t.Parallel()
	storetest.RunEmail(t, func(t *testing.T) storetest.Email {
		t.Helper()
		return open(t, t.TempDir(), sqlite.Options{Sync: sqlite.SyncNormal})
	})
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	storetest.RunAccounts(t, func(t *testing.T) storetest.AccountStore {
		t.Helper()
		return open(t, t.TempDir(), sqlite.Options{Sync: sqlite.SyncNormal})
	})
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	storetest.RunPolicies(t, func(t *testing.T) storetest.PolicyStore {
		t.Helper()
		return open(t, t.TempDir(), sqlite.Options{Sync: sqlite.SyncNormal})
	})
}

func TestOpenings(t *testing.T) {
	t.Parallel()
	storetest.RunOpenings(t, func(t *testing.T) storetest.OpeningStore {
		t.Helper()
		return open(t, t.TempDir(), sqlite.Options{Sync: sqlite.SyncNormal})
	})
}

func TestReports(t *testing.T) {
	t.Parallel()
	storetest.RunReports(t, func(t *testing.T, batch int) (storetest.Store, func() storetest.Reports) {
		t.Helper()
		db := open(t, t.TempDir(), sqlite.Options{Sync: sqlite.SyncNormal})
		return db, func() storetest.Reports {
			return db.Reports(sqlite.ReportOptions{Batch: batch, Now: storetest.ReportsClock})
		}
	})
}

func TestOpenLocksFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir, sqlite.Options{Sync: sqlite.SyncNormal})
	_, err := sqlite.Open(t.Context(), filepath.Join(dir, "usher.db"), sqlite.Options{Sync: sqlite.SyncNormal})
	e, ok := errors.AsType[*usher.Error](err)
	if !ok || e.Code != usher.Conflict || e.Hint == "" {
		t.Fatalf("second open: got %v, want a conflict with a hint", err)
	}
}

func TestOpenRefusesNewerSchema(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "usher.db")
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{Sync: sqlite.SyncNormal})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	for _, opt := range []sqlite.Options{{}, {ReadOnly: true}} {
		_, err = sqlite.Open(t.Context(), path, opt)
		if err == nil || !strings.Contains(err.Error(), "newer than") {
			t.Errorf("open %+v: got %v, want a refusal of the newer schema", opt, err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "usher.db"), sqlite.Options{ReadOnly: true}); usher.CodeOf(err) != usher.NotFound {
		t.Fatalf("open nothing: got %v, want not_found", err)
	}
	db := open(t, dir, sqlite.Options{Sync: sqlite.SyncNormal})
	if err := db.PutChannel(t.Context(), usher.Channel{ID: "mail", Kind: usher.KindEmail}); err != nil {
		t.Fatal(err)
	}
	// Beside the one that serves, and it sees what that one wrote.
	ro := open(t, dir, sqlite.Options{ReadOnly: true})
	if _, err := ro.ChannelByID(t.Context(), "mail"); err != nil {
		t.Fatal(err)
	}
	if err := ro.PutChannel(t.Context(), usher.Channel{ID: "x"}); usher.CodeOf(err) != usher.Unavailable {
		t.Fatalf("write: got %v, want unavailable", err)
	}
}

func TestReopenKeepsSeed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var seeds [2]uint64
	for i := range seeds {
		db, err := sqlite.Open(t.Context(), filepath.Join(dir, "usher.db"), sqlite.Options{Sync: sqlite.SyncNormal})
		if err != nil {
			t.Fatal(err)
		}
		f, _, err := db.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seeds[i] = f.Seed
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if seeds[0] != seeds[1] || seeds[0] == 0 {
		t.Fatalf("seeds %v, want one seed, drawn once", seeds)
	}
}

// Many writers share transactions, and one that fails takes no other with it.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	db := open(t, t.TempDir(), sqlite.Options{})
	before := db.Stats()
	const writers, each = 32, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				if w == 0 {
					if err := db.DeleteKey(t.Context(), "nobody"); usher.CodeOf(err) != usher.NotFound {
						t.Errorf("delete: got %v, want not_found", err)
					}
					continue
				}
				if err := db.Audit(t.Context(), usher.AuditEntry{At: time.Unix(1, 0), By: "test", Action: "a"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	after := db.Stats()
	writes, groups := after.Writes-before.Writes, after.Groups-before.Groups
	if writes != writers*each {
		t.Fatalf("%d writes, want %d", writes, writers*each)
	}
	if groups > writes/2 {
		t.Errorf("%d transactions for %d concurrent writes: they do not share", groups, writes)
	}
	n, cursor := 0, ""
	for {
		entries, next, err := db.AuditEntries(t.Context(), usher.Page{Limit: 100, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		if n, cursor = n+len(entries), next; next == "" {
			break
		}
	}
	if n != (writers-1)*each {
		t.Fatalf("%d entries, want %d", n, (writers-1)*each)
	}
}

func TestWriteAfterClose(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "usher.db"), sqlite.Options{Sync: sqlite.SyncNormal})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.DeleteDraft(t.Context()); usher.CodeOf(err) != usher.Unavailable {
		t.Fatalf("got %v, want unavailable", err)
	}
}

// A channel that was read and changed since is read anew.
func TestChannelByIDSeesChanges(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "usher.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, name := range []string{"first", "second", "third"} {
		if err := db.PutChannel(t.Context(), usher.Channel{ID: "mail", Kind: usher.KindEmail, Name: name}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if ch, err := db.ChannelByID(t.Context(), "mail"); err != nil || ch.Name != name {
				t.Errorf("channel %+v, %v, want name %s", ch, err, name)
			}
		}
	}
}
