package inference

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"usher"
)

func errClosed() error { return usher.Errorf(usher.Unavailable, "the models are closed") }

func errBusy() error {
	return &usher.Error{Code: usher.Overloaded, Message: "too many texts wait to be understood", RetryAfter: time.Second}
}

// job is one text on its way through a model. The worker that takes it fills the
// results and closes done.
type job struct {
	ctx  context.Context //nolint:containedctx // it bounds this one job
	ids  []int64
	from time.Time // queued

	queue, infer  time.Duration
	cpu           time.Duration // its share of the run's
	logits        []float32
	full, matched usher.Vec
	err           error
	done          chan struct{}
}

// scheduler runs jobs on a fixed number of workers, chat before bulk, from bounded
// queues that refuse. What already waits may share a run; nobody waits for company.
type scheduler struct {
	run    func([]*job) // fills results or err of every job
	tokens int          // of a shared run, at most; 0 = every job alone
	limit  int

	mu      sync.Mutex
	ready   sync.Cond
	waiting [2][]*job // by priority
	places  int       // runs that may still begin; all in all as many as workers
	callers sync.WaitGroup
	closed  bool
	workers sync.WaitGroup
}

func newScheduler(workers, limit, tokens int, run func([]*job)) *scheduler {
	s := &scheduler{run: run, tokens: tokens, limit: limit, places: workers}
	s.ready.L = &s.mu
	for range workers {
		s.workers.Go(s.work)
	}
	return s
}

// here runs j on the caller's goroutine if there is a place and nobody waits: handing
// it to a worker and back costs more than all else around a run. False means that it
// has to be submitted.
func (s *scheduler) here(j *job) bool {
	s.mu.Lock()
	if s.closed || s.places == 0 || len(s.waiting[Chat])+len(s.waiting[Bulk]) > 0 {
		s.mu.Unlock()
		return false
	}
	s.places--
	s.callers.Add(1)
	s.mu.Unlock()
	defer s.callers.Done()
	s.do([]*job{j})
	s.mu.Lock()
	s.free()
	s.mu.Unlock()
	return true
}

// free gives a place back, to a worker if there is work. The lock is held.
func (s *scheduler) free() {
	s.places++
	if len(s.waiting[Chat])+len(s.waiting[Bulk]) > 0 {
		s.ready.Signal()
	}
}

// submit queues js or none of them. Bulk is refused from half the queue on, so that
// there is always room for chat.
func (s *scheduler) submit(js []*job, prio Priority) error {
	limit := s.limit
	if prio != Chat {
		prio, limit = Bulk, limit/2
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed()
	}
	if len(s.waiting[Chat])+len(s.waiting[Bulk])+len(js) > limit {
		return errBusy()
	}
	now := time.Now()
	for _, j := range js {
		j.from = now
		s.waiting[prio] = append(s.waiting[prio], j)
	}
	if len(js) == 1 {
		s.ready.Signal()
	} else {
		s.ready.Broadcast()
	}
	return nil
}

// close lets what waits finish, then ends the workers.
func (s *scheduler) close() {
	s.mu.Lock()
	s.closed = true
	s.ready.Broadcast()
	s.mu.Unlock()
	s.workers.Wait()
	s.callers.Wait()
}

func (s *scheduler) work() {
	for {
		batch := s.next()
		if batch == nil {
			return
		}
		s.do(batch)
		s.mu.Lock()
		s.free()
		s.mu.Unlock()
	}
}

// next waits for work and a place, and takes both; nil means that there will be none.
func (s *scheduler) next() []*job {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for prio := range s.waiting {
			if s.places == 0 {
				break
			}
			if batch := s.take(&s.waiting[prio]); len(batch) > 0 {
				s.places--
				return batch
			}
		}
		if s.closed && len(s.waiting[Chat])+len(s.waiting[Bulk]) == 0 {
			s.ready.Broadcast() // nor for workers who waited for a place
			return nil
		}
		s.ready.Wait()
	}
}

// take removes the first job and those of its length that fit into the run with it:
// equal lengths need no padding. Jobs whose time is up are answered at once.
func (s *scheduler) take(from *[]*job) []*job {
	var batch []*job
	kept := (*from)[:0]
	now := time.Now()
	for _, j := range *from {
		switch {
		case j.ctx.Err() != nil:
			j.err, j.queue = j.ctx.Err(), now.Sub(j.from)
			close(j.done)
		case len(batch) == 0, len(j.ids) == len(batch[0].ids) && (len(batch)+1)*len(j.ids) <= s.tokens:
			j.queue = now.Sub(j.from)
			batch = append(batch, j)
		default:
			kept = append(kept, j)
		}
	}
	clear((*from)[len(kept):])
	*from = kept
	return batch
}

func (s *scheduler) do(batch []*job) {
	runtime.LockOSThread() // so that the processor time is that of the run
	start, used := time.Now(), threadCPU()
	defer func() {
		used = threadCPU() - used
		runtime.UnlockOSThread()
		// A panic in a model must not end the process, nor leave anybody waiting.
		if r := recover(); r != nil {
			for _, j := range batch {
				j.err = fmt.Errorf("run model: panic of type %T", r)
			}
		}
		took := time.Since(start)
		for _, j := range batch {
			j.infer, j.cpu = took, used/time.Duration(len(batch))
			close(j.done)
		}
	}()
	s.run(batch)
}
