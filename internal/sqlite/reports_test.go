package sqlite_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/sqlite"
	"usher/internal/storetest"
	"usher/report"
)

// ledger holds what a log folds to.
type ledger struct {
	rows   map[string]*report.Conversation
	shifts map[string]*report.Shift
}

func foldInMemory(t *testing.T, events []usher.Event) ledger {
	t.Helper()
	l := ledger{rows: map[string]*report.Conversation{}, shifts: map[string]*report.Shift{}}
	open := map[string]*report.Shift{}
	for i := range events {
		e := &events[i]
		if report.Folds(e) {
			if l.rows[e.ConversationID] == nil {
				l.rows[e.ConversationID] = &report.Conversation{}
			}
			if err := l.rows[e.ConversationID].Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		ended, began, err := report.NextShift(open[e.AgentID], e)
		if err != nil {
			t.Fatal(err)
		}
		if ended != nil {
			l.shifts[ended.ID] = ended
			delete(open, e.AgentID)
		}
		if began != nil {
			l.shifts[began.ID], open[e.AgentID] = began, began
		}
	}
	return l
}

// A log that went through the store gives the numbers of the same log in memory:
// nothing is lost on the way through JSON, batches, restarts and the form in
// which rows are kept. USHER_REPORTS tells of how many conversations.
func TestStoredReports(t *testing.T) {
	t.Parallel()
	n, err := strconv.Atoi(os.Getenv("USHER_REPORTS"))
	if err != nil {
		n = 300
	}
	const days = 6
	start := time.Date(2026, 3, 26, 0, 0, 0, 0, time.UTC)
	end := start.Add(days * 24 * time.Hour)
	events := storetest.Log(7, n, start, days)
	db := open(t, t.TempDir(), sqlite.Options{Sync: sqlite.SyncNormal})
	fence, err := db.Acquire(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for chunk := range slices.Chunk(storetest.Changes(events), 256) {
		if err := db.Commit(t.Context(), fence, chunk); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d conversations, %d events written in %s", n, len(events), time.Since(began))
	began = time.Now()
	batches := 0
	for more := true; more; batches++ {
		// A keeper that dies after every batch.
		r := db.Reports(sqlite.ReportOptions{Now: func() time.Time { return end }})
		if more, err = r.Fold(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("folded in %d batches, %s: %.0f events/s", batches, time.Since(began), float64(len(events))/time.Since(began).Seconds())

	want := foldInMemory(t, events)
	r := db.Reports(sqlite.ReportOptions{})
	for _, d := range report.Definitions() {
		q := report.Query{From: start.Add(20 * time.Hour), To: end.Add(-30 * time.Hour), Interval: "day", GroupBy: d.GroupBy, AsOf: end}
		inMemory, err := report.NewComputation(d, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range want.rows {
			inMemory.Add(c)
		}
		for _, s := range want.shifts {
			inMemory.AddShift(s)
		}
		stored, err := report.NewComputation(d, q)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := r.ReportRows(t.Context(), 0, q.From, q.To, func(report.AsOf) (report.Sink, error) { return stored, nil }); err != nil {
			t.Fatal(err)
		}
		got := stored.Numbers()
		took := time.Since(began)
		if diff := cmp.Diff(inMemory.Numbers(), got); diff != "" {
			t.Errorf("%s (-memory +store):\n%.2000s", d.Name, diff)
		}
		t.Logf("%s read and computed in %s", d.Name, took)
	}
}

// What a commit costs while the reports follow, beside what it costs alone: the
// two share the one write connection.
func BenchmarkCommitBesideReports(b *testing.B) {
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for _, follow := range []bool{false, true} {
		b.Run(map[bool]string{false: "alone", true: "followed"}[follow], func(b *testing.B) {
			changes := storetest.Changes(storetest.Log(3, b.N/8+8, start, 1))
			db := open(b, b.TempDir(), sqlite.Options{})
			fence, err := db.Acquire(b.Context(), "test")
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			done := make(chan error, 1)
			if follow {
				now := changes[len(changes)-1].Now // rows as they were are kept, too
				go func() {
					done <- db.Reports(sqlite.ReportOptions{Now: func() time.Time { return now }, Keep: 48 * time.Hour}).Run(ctx)
				}()
			} else {
				done <- nil
			}
			b.ResetTimer()
			n := 0
			for chunk := range slices.Chunk(changes, 8) {
				if n += len(chunk); n > b.N {
					break
				}
				if err := db.Commit(ctx, fence, chunk); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			stop()
			if err := <-done; err != nil {
				b.Error(err)
			}
		})
	}
}
