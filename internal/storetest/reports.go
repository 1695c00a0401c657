package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/report"
)

// Reports keeps the rows of reports in step with a store's log.
type Reports interface {
	Fold(ctx context.Context) (more bool, err error)
	Rebuild(ctx context.Context) error
	Run(ctx context.Context) error
	ReportRows(ctx context.Context, step usher.Step, from, to time.Time, sink func(report.AsOf) (report.Sink, error)) error
}

// ReportsClock is what the keepers of the suite take for the time: when the
// suite's log ends.
func ReportsClock() time.Time { return Start.Add(reportDays * 24 * time.Hour) }

const reportDays = 2

// RunReports runs the contract of the rows of reports. open returns an empty
// store and what makes a keeper of its rows, which folds at most batch events at
// once and takes [ReportsClock] for the time.
func RunReports(t *testing.T, open func(t *testing.T, batch int) (Store, func() Reports)) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *store, keeper func() Reports)
	}{
		{"empty", testReportsEmpty},
		{"rows are those of the log", testReportsFold},
		{"a batch is folded once", testReportsOnce},
		{"rows as they were", testReportsAsOf},
		{"anew from the first event", testReportsRebuild},
		{"they follow", testReportsFollow},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st, keeper := open(t, 97)
			s := &store{Store: st, now: Start}
			fence, err := s.Acquire(t.Context(), "suite")
			if err != nil {
				t.Fatal(err)
			}
			s.fence = fence
			c.run(t, s, keeper)
		})
	}
}

// kept collects rows in their stored form.
type kept map[string]string

func (k kept) Add(c *report.Conversation) { k.put(c.ID, string(c.Encode())) }
func (k kept) AddShift(s *report.Shift)   { k.put(s.ID, string(s.Encode())) }
func (k kept) put(id, row string) {
	if _, twice := k[id]; twice {
		id += " twice"
	}
	k[id] = row
}

// folded is what the rows of a log must be.
func folded(t *testing.T, events []usher.Event) kept {
	t.Helper()
	rows, shifts, open := map[string]*report.Conversation{}, map[string]*report.Shift{}, map[string]*report.Shift{}
	for i := range events {
		e := &events[i]
		if report.Folds(e) {
			c := rows[e.ConversationID]
			if c == nil {
				c = &report.Conversation{}
				rows[e.ConversationID] = c
			}
			if err := c.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		ended, began, err := report.NextShift(open[e.AgentID], e)
		if err != nil {
			t.Fatal(err)
		}
		if ended != nil {
			shifts[ended.ID] = ended
			delete(open, e.AgentID)
		}
		if began != nil {
			shifts[began.ID], open[e.AgentID] = began, began
		}
	}
	k := kept{}
	for _, c := range rows {
		k.Add(c)
	}
	for _, s := range shifts {
		k.AddShift(s)
	}
	return k
}

func readRows(t *testing.T, r Reports, step usher.Step) (kept, report.AsOf) {
	t.Helper()
	k, asOf := kept{}, report.AsOf{}
	err := r.ReportRows(t.Context(), step, Start.Add(-time.Hour), ReportsClock().Add(time.Hour), func(a report.AsOf) (report.Sink, error) {
		asOf = a
		return k, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return k, asOf
}

func foldAll(t *testing.T, r Reports) {
	t.Helper()
	for {
		more, err := r.Fold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

func commitLog(t *testing.T, s *store, changes []usher.Change) {
	t.Helper()
	for len(changes) > 0 {
		n := min(64, len(changes))
		if err := s.Commit(t.Context(), s.fence, changes[:n]); err != nil {
			t.Fatal(err)
		}
		changes = changes[n:]
	}
}

func testReportsEmpty(t *testing.T, _ *store, keeper func() Reports) {
	r := keeper()
	foldAll(t, r)
	rows, asOf := readRows(t, r, 0)
	if len(rows) != 0 || asOf.Step != 0 || !asOf.At.Equal(ReportsClock()) {
		t.Errorf("%d rows as of %+v", len(rows), asOf)
	}
	err := r.ReportRows(t.Context(), 1, Start, ReportsClock(), nil)
	wantCode(t, "a step that has not come", err, usher.Unavailable)
}

func testReportsFold(t *testing.T, s *store, keeper func() Reports) {
	events := Log(5, 300, Start, reportDays)
	commitLog(t, s, Changes(events))
	for r, more := keeper(), true; more; {
		var err error
		if more, err = r.Fold(t.Context()); err != nil {
			t.Fatal(err)
		}
		r = keeper() // what it had in memory is gone after every batch
	}
	r := keeper()
	foldAll(t, r)
	rows, asOf := readRows(t, r, 0)
	diff(t, "rows", rows, folded(t, events))
	if last := events[len(events)-1]; asOf.Step != last.Step || asOf.At.Before(last.At) {
		t.Errorf("as of %+v, the log ends at step %d, %s", asOf, last.Step, last.At)
	}
	// A period gets the rows that touch it, and no others.
	from, to := Start.Add(9*time.Hour), Start.Add(10*time.Hour)
	k := kept{}
	if err := r.ReportRows(t.Context(), 0, from, to, func(report.AsOf) (report.Sink, error) { return k, nil }); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for i := range events {
		if e := &events[i]; e.ConversationID != "" && !e.At.Before(from) && e.At.Before(to) {
			want[e.ConversationID] = true
		}
	}
	for id := range want {
		if k[id] == "" {
			t.Errorf("%s happened between %s and %s and is not read", id, from, to)
		}
	}
	if len(k) >= len(rows)/2 {
		t.Errorf("an hour of two days reads %d of %d rows", len(k), len(rows))
	}
}

// Two keepers at once, as after a take-over: whoever comes second has folded nothing.
func testReportsOnce(t *testing.T, s *store, keeper func() Reports) {
	events := Log(6, 150, Start, reportDays)
	commitLog(t, s, Changes(events))
	foldAll(t, keeper()) // the first sets the form of the rows
	if err := keeper().Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for r, more := keeper(), true; more; {
				var err error
				more, err = r.Fold(t.Context())
				if code := usher.CodeOf(err); code == usher.Conflict {
					more = true
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	rows, _ := readRows(t, keeper(), 0)
	diff(t, "rows", rows, folded(t, events))
}

func testReportsAsOf(t *testing.T, s *store, keeper func() Reports) {
	events := Log(7, 150, ReportsClock().Add(-10*time.Minute), 1)
	changes := Changes(events)
	type seen struct {
		rows kept
		step usher.Step
	}
	var then []seen
	r := keeper()
	for len(changes) > 0 {
		n := min(40, len(changes))
		commitLog(t, s, changes[:n])
		changes = changes[n:]
		foldAll(t, r)
		rows, asOf := readRows(t, r, 0)
		if asOf.Step != s.lastOf(t) {
			t.Fatalf("as of step %d, the log is at %d", asOf.Step, s.lastOf(t))
		}
		then = append(then, seen{rows, asOf.Step})
	}
	for _, was := range then {
		rows, asOf := readRows(t, keeper(), was.step)
		if d := cmp.Diff(was.rows, rows); d != "" || asOf.Step != was.step {
			t.Fatalf("rows as of step %d (%d) are others than they were:\n%s", was.step, asOf.Step, d)
		}
	}
	// What is old is told of no more.
	if err := r.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := Changes([]usher.Event{{Step: s.lastOf(t) + 1, Type: usher.EventConversationOpened, ConversationID: "old", At: Start.Add(-24 * time.Hour)}})
	commitLog(t, s, old)
	foldAll(t, r)
	err := r.ReportRows(t.Context(), then[0].step, Start, ReportsClock(), nil)
	wantCode(t, "rows that are no longer kept", err, usher.Unprocessable)
}

func (s *store) lastOf(t *testing.T) usher.Step {
	t.Helper()
	c, err := s.LastEvent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.Step
}

func testReportsRebuild(t *testing.T, s *store, keeper func() Reports) {
	events := Log(8, 100, Start, reportDays)
	commitLog(t, s, Changes(events))
	r := keeper()
	foldAll(t, r)
	before, _ := readRows(t, r, 0)
	if err := r.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows, _ := readRows(t, r, 0); len(rows) != 0 {
		t.Errorf("%d rows after a rebuild began", len(rows))
	}
	foldAll(t, r)
	after, _ := readRows(t, r, 0)
	diff(t, "rows", after, before)
}

// Run follows a steady stream: what was committed five seconds ago is folded.
func testReportsFollow(t *testing.T, s *store, keeper func() Reports) {
	const within = 5 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	r := keeper()
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	events := Log(9, 250, Start, reportDays)
	changes := Changes(events)
	var committed []time.Time // by step, from 1
	for len(changes) > 0 {
		n := min(8, len(changes))
		commitLog(t, s, changes[:n])
		for range n {
			committed = append(committed, time.Now())
		}
		changes = changes[n:]
		if len(committed)%64 < 8 {
			behind(t, r, committed, within)
		}
	}
	last := usher.Step(len(committed))
	for begun := time.Now(); stepOf(t, r) < last; {
		if time.Since(begun) > time.Minute {
			t.Fatalf("folded up to step %d of %d", stepOf(t, r), last)
		}
		behind(t, r, committed, within)
	}
	rows, _ := readRows(t, r, 0)
	diff(t, "rows", rows, folded(t, events))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func stepOf(t *testing.T, r Reports) (step usher.Step) {
	t.Helper()
	err := r.ReportRows(t.Context(), 0, Start, Start, func(a report.AsOf) (report.Sink, error) {
		step = a.Step
		return kept{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return step
}

// behind fails when a step that was committed longer ago than within is missing.
func behind(t *testing.T, r Reports, committed []time.Time, within time.Duration) {
	t.Helper()
	looked := time.Now()
	at := stepOf(t, r)
	if int(at) == len(committed) {
		return
	}
	if late := looked.Sub(committed[at]); late > within { // the first that is missing
		t.Fatalf("step %d was committed %s ago and is not folded", at+1, late)
	}
}
