package sqlite

import (
	"path/filepath"
	"testing"

	"usher"
)

// A transaction that fails fails for all who share it, loses what it had, and
// leaves a writer that goes on with a new connection.
func TestBrokenTransaction(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "usher.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	good := func(id string) func(*tx) error {
		return func(t *tx) error {
			_, err := t.exec(putChannel, id, "web", `{"id":"`+id+`"}`)
			return err
		}
	}
	// The whole group, as the goroutine would take it.
	group := []*pending{
		{fn: good("before"), done: make(chan struct{})},
		{fn: func(t *tx) error { _, err := t.exec("ROLLBACK"); return err }, done: make(chan struct{})},
		{fn: good("after"), done: make(chan struct{})},
	}
	w := &writer{db: db.write}
	db.writer.close() // its connection is the only one
	w.commit(group)
	for i, p := range group {
		<-p.done
		if p.err == nil {
			t.Errorf("write %d of a broken transaction reports success", i)
		}
	}
	for _, id := range []string{"before", "after"} {
		if _, err := db.ChannelByID(t.Context(), id); usher.CodeOf(err) != usher.NotFound {
			t.Errorf("%s: got %v, want not_found", id, err)
		}
	}
	next := &pending{fn: good("next"), done: make(chan struct{})}
	w.commit([]*pending{next})
	if next.err != nil {
		t.Fatalf("the next write: %v", next.err)
	}
	if _, err := db.ChannelByID(t.Context(), "next"); err != nil {
		t.Error(err)
	}
	w.drop()
}
