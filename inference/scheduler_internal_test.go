package inference

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher"
)

func newJob(ctx context.Context, length int) *job {
	return &job{ctx: ctx, ids: make([]int64, length), done: make(chan struct{})}
}

// held is a runner that records what it runs and waits to be let go.
type held struct {
	mu   sync.Mutex
	runs [][]int // lengths
	gate chan struct{}
}

func (h *held) run(batch []*job) {
	var lengths []int
	for _, j := range batch {
		lengths = append(lengths, len(j.ids))
	}
	h.mu.Lock()
	h.runs = append(h.runs, lengths)
	h.mu.Unlock()
	<-h.gate
}

func (h *held) seen() [][]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.runs)
}

func TestSchedulerRefusesAndPrefersChat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &held{gate: make(chan struct{})}
		s := newScheduler(1, 4, 0, h.run)
		ctx := t.Context()
		submit := func(prio Priority, lengths ...int) error {
			var js []*job
			for _, n := range lengths {
				js = append(js, newJob(ctx, n))
			}
			return s.submit(js, prio)
		}
		if err := submit(Chat, 1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the worker holds it
		if err := submit(Bulk, 20, 21); err != nil {
			t.Fatal(err)
		}
		err := submit(Bulk, 22)
		var coded *usher.Error
		if !errors.As(err, &coded) || coded.Code != usher.Overloaded || coded.RetryAfter <= 0 {
			t.Errorf("bulk beyond half the queue: %v", err)
		}
		if err := submit(Chat, 2, 3, 4); usher.CodeOf(err) != usher.Overloaded {
			t.Errorf("three into two places: %v", err)
		}
		if err := submit(Chat, 2, 3); err != nil {
			t.Errorf("chat has the whole queue: %v", err)
		}
		if err := submit(Chat, 5); usher.CodeOf(err) != usher.Overloaded {
			t.Errorf("a full queue took more: %v", err)
		}
		close(h.gate)
		s.close()
		want := [][]int{{1}, {2}, {3}, {20}, {21}}
		if got := h.seen(); !slices.EqualFunc(got, want, slices.Equal[[]int]) {
			t.Errorf("ran %v, want %v", got, want)
		}
		if err := submit(Chat, 1); usher.CodeOf(err) != usher.Unavailable {
			t.Errorf("after close: %v", err)
		}
	})
}

func TestSchedulerSharesOnlyEqualLengths(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &held{gate: make(chan struct{})}
		s := newScheduler(1, 32, 20, h.run)
		for _, n := range []int{1, 5, 8, 5, 5, 5, 5, 8, 30} {
			if err := s.submit([]*job{newJob(t.Context(), n)}, Chat); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		close(h.gate)
		s.close()
		want := [][]int{{1}, {5, 5, 5, 5}, {8, 8}, {5}, {30}}
		if got := h.seen(); !slices.EqualFunc(got, want, slices.Equal[[]int]) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}

func TestSchedulerDropsWhatIsTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &held{gate: make(chan struct{})}
		s := newScheduler(1, 8, 0, h.run)
		if err := s.submit([]*job{newJob(t.Context(), 1)}, Chat); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := newJob(ctx, 2)
		if err := s.submit([]*job{late}, Chat); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		close(h.gate)
		<-late.done
		if !errors.Is(late.err, context.DeadlineExceeded) || late.queue < time.Second {
			t.Errorf("%v after %v", late.err, late.queue)
		}
		s.close()
		if got := h.seen(); len(got) != 1 {
			t.Errorf("ran %v", got)
		}
	})
}

// A panic in a model is an error of its jobs; the worker goes on.
func TestSchedulerSurvivesPanics(t *testing.T) {
	t.Parallel()
	s := newScheduler(1, 8, 0, func(batch []*job) {
		if len(batch[0].ids) == 13 {
			panic("secret text")
		}
	})
	bad, good := newJob(t.Context(), 13), newJob(t.Context(), 1)
	if err := s.submit([]*job{bad, good}, Chat); err != nil {
		t.Fatal(err)
	}
	<-bad.done
	<-good.done
	if bad.err == nil || good.err != nil {
		t.Errorf("%v, %v", bad.err, good.err)
	}
	s.close()
}

// Callers run their own text while there is a place, and share the places with the
// workers; what waits goes first.
func TestSchedulerRunsOnTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &held{gate: make(chan struct{})}
		s := newScheduler(1, 8, 0, h.run)
		first := make(chan bool, 1)
		go func() { first <- s.here(newJob(t.Context(), 1)) }()
		synctest.Wait() // it runs
		if s.here(newJob(t.Context(), 2)) {
			t.Error("two ran in one place")
		}
		queued := []*job{newJob(t.Context(), 3), newJob(t.Context(), 4)}
		if err := s.submit(queued, Bulk); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := h.seen(); len(got) != 1 {
			t.Errorf("ran %v beside the caller", got)
		}
		ended := make(chan struct{})
		go func() { s.close(); close(ended) }()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("close did not wait")
		default:
		}
		close(h.gate)
		<-ended
		if !<-first || queued[0].err != nil || queued[1].err != nil {
			t.Error("the caller or what waited was not served")
		}
		if s.here(newJob(t.Context(), 5)) {
			t.Error("ran after close")
		}
		if got, want := h.seen(), [][]int{{1}, {3}, {4}}; !slices.EqualFunc(got, want, slices.Equal[[]int]) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}
