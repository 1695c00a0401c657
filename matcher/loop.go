package matcher

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"usher"
	"usher/matcher/floor"
	"usher/matcher/policy"
)

const (
	maxBatch   = 256  // steps in one commit
	remembered = 1024 // inputs whose repetition is recognised
)

// item is one thing for the loop to do, from mailbox to answer.
type item struct {
	in   usher.Input
	read func(*floor.State, time.Time) // instead of an input
	done chan answer                   // nil for the loop's own inputs
	gone <-chan struct{}               // the caller has stopped waiting

	more     []chan answer // of repetitions that came before the answer
	out      usher.Change
	policy   *policy.Compiled // serving from this step on, if it changed
	snapshot *usher.Floor     // after this step, if one is due
	answered bool
	answer   answer
}

type answer struct {
	result usher.Result
	err    error
}

// loop is the goroutine that owns the floor.
type loop struct {
	d     *Dispatcher
	cfg   *Config
	state *floor.State
	fence usher.Fence
	step  usher.Step // stepped, perhaps not yet stored

	began time.Time // by the clock
	last  time.Time // the latest time given to a step

	next      []*item // stepped, not yet in a commit
	flying    []*item // being committed
	committed chan error

	broken    bool      // a rule panicked: the floor may be half changed
	notBefore time.Time // of the next tick, after one that panicked

	recent map[string]*item
	ids    [remembered]string
	idAt   int

	timer     *time.Timer // the floor's next deadline
	pulse     *time.Timer // the next lapse
	snapshots chan error  // of the one being written
	writing   bool
}

func newLoop(d *Dispatcher) *loop {
	l := &loop{
		d: d, cfg: &d.cfg, committed: make(chan error, 1), snapshots: make(chan error, 1),
		recent: map[string]*item{}, timer: time.NewTimer(0), pulse: time.NewTimer(0), began: d.cfg.Now(),
	}
	return l
}

// now is the time of the next step: wall time at start plus what has elapsed,
// in whole microseconds (which every store keeps), and never before the last.
func (l *loop) now() time.Time {
	l.last = l.clock()
	return l.last
}

func (l *loop) clock() time.Time {
	t := l.began.Add(l.cfg.Now().Sub(l.began)).UTC().Truncate(time.Microsecond)
	if t.Before(l.last) {
		t = l.last
	}
	return t
}

// start takes the floor over and brings it to where it can serve.
func (l *loop) start(ctx context.Context) error {
	if err := l.takeOver(ctx); err != nil {
		return err
	}
	f := l.state.Floor()
	if f.Policy.Version == 0 {
		p := usher.PolicyVersion{Version: 1, Note: "default", By: "usher", Document: usher.DefaultPolicy()}
		if err := l.must(ctx, usher.PolicyPublish{Policy: p, Facts: []usher.ConversationFacts{}}); err != nil {
			return fmt.Errorf("publish default policy: %w", err)
		}
	}
	if !reflect.DeepEqual(f.Bundle, l.cfg.Bundle) {
		if err := l.must(ctx, usher.AliasMove{Bundle: l.cfg.Bundle}); err != nil {
			return fmt.Errorf("move to bundle %s: %w", l.cfg.Bundle.Model.Name, err)
		}
	}
	return nil
}

// takeOver acquires the fence, loads the floor and recovers it.
func (l *loop) takeOver(ctx context.Context) error {
	fence, err := l.cfg.Store.Acquire(ctx, l.cfg.Holder)
	if err != nil {
		return fmt.Errorf("acquire: %w", err)
	}
	l.fence = fence
	if err := l.load(ctx); err != nil {
		return err
	}
	return l.recover(ctx)
}

// load throws the floor away and builds it from what is stored.
func (l *loop) load(ctx context.Context) error {
	l.state = nil
	f, step, err := l.cfg.Store.Load(ctx)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	state, err := floor.New(f, l.cfg.Engine)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	l.state, l.step, l.broken = state, step, false
	if f.Now.After(l.last) {
		l.last = f.Now
	}
	l.d.policy.Store(state.Policy())
	bundle := state.Bundle()
	l.d.bundle.Store(&bundle)
	l.d.pulse.adopt(f, l.cfg.Now())
	l.d.pulse.look()
	return nil
}

// recover lets what lapsed meanwhile happen. It is a step of its own, even if
// nothing lapsed: from here on the floor is one that was loaded, and a replay
// must know.
func (l *loop) recover(ctx context.Context) error {
	if err := l.must(ctx, usher.Tick{Recovery: true}); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	return nil
}

// must applies one of the loop's own inputs and commits it by itself.
func (l *loop) must(ctx context.Context, b usher.Body) error {
	it := l.own(b)
	if err := l.apply(ctx, it); err != nil {
		return err
	}
	if it.out.Result.Err != nil {
		return it.out.Result.Err
	}
	if !it.out.Changed() {
		return nil
	}
	changes := []usher.Change{it.out}
	if err := l.cfg.Store.Commit(ctx, l.fence, changes); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	l.settle(ctx, []*item{it}, changes)
	return nil
}

func (l *loop) own(b usher.Body) *item {
	return &item{in: usher.Input{ID: fmt.Sprintf("%s_%d", b.Kind(), l.step+1), By: usher.System(), Body: b}}
}

// run serves until ctx ends and everything taken is answered.
func (l *loop) run(ctx context.Context) {
	// What is under way when ctx ends is finished, not torn.
	work := context.WithoutCancel(ctx)
	done := ctx.Done()
	for {
		if l.broken {
			l.mend(work)
		}
		if l.state == nil && !l.revive(ctx) {
			return
		}
		l.commit(work)
		l.rewind()
		arrivals, actions, reads, nudge := l.d.arrivals, l.d.actions, l.d.reads, l.d.pulse.nudge
		timer, pulse := l.timer.C, l.pulse.C
		if len(l.next) >= maxBatch { // one batch ahead is enough
			arrivals, actions, reads, nudge, timer, pulse = nil, nil, nil, nil, nil, nil
		} else {
			select { // agents first
			case it := <-actions:
				l.take(work, it)
				l.drain(work)
				continue
			default:
			}
		}
		select {
		case it := <-actions:
			l.take(work, it)
			l.drain(work)
		case it := <-arrivals:
			l.take(work, it)
			l.drain(work)
		case it := <-reads:
			l.take(work, it)
		case <-timer:
			l.take(work, l.own(usher.Tick{}))
		case <-pulse:
			l.listen(work)
		case <-nudge:
			l.listen(work)
		case err := <-l.committed:
			l.landed(work, err)
			if l.state != nil {
				l.drain(work) // those just answered and those who waited share a commit
			}
		case err := <-l.snapshots:
			l.written(work, err)
		case <-done:
			// From here on nothing is taken that was not waiting already.
			close(l.d.stopping)
			l.finish(work)
			return
		}
	}
}

// drain takes what else waits, agents' inputs first, up to one batch.
func (l *loop) drain(ctx context.Context) {
	if len(l.flying) == 0 {
		// Callers that the last answers woke get to put their next input in the
		// mailbox before this batch is closed.
		runtime.Gosched()
	}
	for len(l.next) < maxBatch && !l.broken {
		select {
		case it := <-l.d.actions:
			l.take(ctx, it)
			continue
		default:
		}
		select {
		case it := <-l.d.arrivals:
			l.take(ctx, it)
		default:
			return
		}
	}
}

// finish answers everything that was waiting when the end came.
func (l *loop) finish(ctx context.Context) {
	for l.state != nil {
		l.drain(ctx)
		select {
		case it := <-l.d.reads:
			if !l.broken {
				l.take(ctx, it)
			} else {
				l.reply(it, answer{err: unavailable("usher is stopping", nil)})
			}
		default:
		}
		if l.broken {
			l.mend(ctx)
			continue
		}
		l.commit(ctx)
		if len(l.flying) > 0 {
			l.landed(ctx, <-l.committed)
		} else if len(l.next)+len(l.d.actions)+len(l.d.arrivals)+len(l.d.reads) == 0 {
			return
		}
	}
}

// end waits for what the loop has started and refuses what is left.
func (l *loop) end(ctx context.Context) {
	l.timer.Stop()
	l.pulse.Stop()
	if l.writing {
		l.written(ctx, <-l.snapshots)
	}
	select {
	case <-l.d.stopping:
	default:
		close(l.d.stopping)
	}
	l.refuseWaiting()
}

// take steps one item. What depends on nothing that is still to be stored is
// answered at once.
func (l *loop) take(ctx context.Context, it *item) {
	if it.gone != nil {
		select {
		case <-it.gone:
			return // nobody waits: nothing was accepted
		default:
		}
	}
	if first := l.recent[it.in.ID]; first != nil && it.in.ID != "" && it.read == nil && it.done != nil {
		if first.answered {
			it.done <- first.answer
		} else {
			first.more = append(first.more, it.done)
		}
		return
	}
	if err := l.apply(ctx, it); err != nil {
		l.reply(it, answer{err: err})
		return
	}
	l.remember(it)
	if !it.out.Changed() && len(l.next) == 0 && len(l.flying) == 0 {
		l.reply(it, answer{result: it.out.Result})
		return
	}
	l.next = append(l.next, it)
}

// apply steps it on the floor as it stands. It fails when a rule panics: then
// the floor may be half changed and must be loaded again ([loop.mend]) before
// anything else is stepped.
func (l *loop) apply(ctx context.Context, it *item) (err error) {
	now := l.now()
	it.out, it.policy, it.snapshot = usher.Change{}, nil, nil
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		l.broken, it.out = true, usher.Change{}
		what := "reading"
		if it.read == nil {
			what = string(it.in.Body.Kind())
		}
		if what == string(usher.Tick{}.Kind()) {
			l.notBefore = now.Add(l.cfg.Retry)
		}
		l.cfg.Log.LogAttrs(ctx, slog.LevelError, "a rule of the floor panicked",
			slog.String("input", what), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		err = fmt.Errorf("apply %s: panic: %v", what, p)
	}()
	if it.read != nil {
		it.read(l.state, now)
		return nil
	}
	it.out.Step = l.step + 1
	l.state.Step(now, it.in, &it.out)
	if !it.out.Changed() {
		return nil
	}
	l.step = it.out.Step
	if len(it.out.Policies) > 0 {
		it.policy = l.state.Policy()
	}
	if l.step%l.cfg.SnapshotEvery == 0 {
		f := l.state.Floor()
		f.Step, f.Now = l.step, now
		it.snapshot = &f
	}
	return nil
}

// mend stores what was stepped before a rule panicked, then loads the floor.
func (l *loop) mend(ctx context.Context) {
	for l.broken && len(l.next)+len(l.flying) > 0 && l.state != nil {
		l.commit(ctx)
		if len(l.flying) > 0 {
			l.landed(ctx, <-l.committed) // on failure it loads the floor itself
		}
	}
	if !l.broken || l.state == nil {
		return
	}
	if err := l.load(ctx); err != nil {
		l.lose(nil, err)
		return
	}
	if err := l.recover(ctx); err != nil {
		l.cfg.Log.LogAttrs(ctx, slog.LevelError, "floor not recovered", slog.Any("error", err))
		l.lose(nil, err)
	}
}

// commit begins to store what has been stepped, unless a commit runs already.
func (l *loop) commit(ctx context.Context) {
	if len(l.flying) > 0 || len(l.next) == 0 {
		return
	}
	changes := changesOf(l.next)
	if len(changes) == 0 { // only answers that waited for others
		l.settle(ctx, l.next, nil)
		l.next = l.next[:0]
		return
	}
	l.flying, l.next = l.next, l.flying[:0]
	fence, store := l.fence, l.cfg.Store
	go func() { l.committed <- store.Commit(ctx, fence, changes) }()
}

func changesOf(items []*item) []usher.Change {
	changes := make([]usher.Change, 0, len(items))
	for _, it := range items {
		if it.out.Changed() {
			changes = append(changes, it.out)
		}
	}
	return changes
}

// landed ends the running commit.
func (l *loop) landed(ctx context.Context, err error) {
	batch := l.flying
	l.flying = nil
	if err == nil {
		l.settle(ctx, batch, changesOf(batch))
		return
	}
	l.cfg.Log.LogAttrs(ctx, slog.LevelError, "commit failed", slog.Int("steps", len(changesOf(batch))), slog.Any("error", err))
	l.redo(ctx, batch, err)
}

// redo loads the floor again after a commit failed and steps its items, and
// those stepped ahead of it, one by one, each with a commit of its own.
func (l *loop) redo(ctx context.Context, batch []*item, cause error) {
	items := slices.Concat(batch, l.next)
	l.next = l.next[:0]
	if usher.CodeOf(cause) == usher.Unavailable {
		l.lose(items, cause)
		return
	}
	kept, err := l.again(ctx, batch)
	if err != nil {
		l.lose(items, err)
		return
	}
	if kept {
		items = items[len(batch):]
	}
	for i, it := range items {
		if err := l.apply(ctx, it); err != nil {
			l.reply(it, answer{err: err})
			if l.mend(ctx); l.state == nil {
				l.lose(items[i+1:], err)
				return
			}
			continue
		}
		one := []*item{it}
		if !it.out.Changed() {
			l.settle(ctx, one, nil)
			continue
		}
		err := l.cfg.Store.Commit(ctx, l.fence, changesOf(one))
		if err == nil {
			l.settle(ctx, one, changesOf(one))
			continue
		}
		l.cfg.Log.LogAttrs(ctx, slog.LevelError, "commit of one input failed",
			slog.String("kind", string(it.in.Body.Kind())), slog.Any("error", err))
		if usher.CodeOf(err) == usher.Unavailable {
			l.lose(items[i:], err)
			return
		}
		switch kept, again := l.again(ctx, one); {
		case again != nil:
			l.lose(items[i:], again)
			return
		case !kept:
			l.reply(it, answer{err: fmt.Errorf("commit %s: %w", it.in.Body.Kind(), err)})
		}
	}
}

// again loads the floor after the commit of batch failed. Where the store kept
// the batch and only its answer was lost, the batch is answered: kept.
func (l *loop) again(ctx context.Context, batch []*item) (kept bool, err error) {
	changes := changesOf(batch)
	if err := l.load(ctx); err != nil {
		return false, err
	}
	switch first, last := changes[0].Step, changes[len(changes)-1].Step; l.step {
	case first - 1:
	case last:
		kept = true
		l.settle(ctx, batch, changes)
	default:
		return false, unavailable(fmt.Sprintf("the log is at step %d, neither before nor after steps %d to %d", l.step, first, last), nil)
	}
	return kept, l.recover(ctx)
}

// settle answers items whose changes are stored.
func (l *loop) settle(ctx context.Context, items []*item, changes []usher.Change) {
	for _, it := range items {
		if it.policy != nil {
			l.d.policy.Store(it.policy)
		}
		if n := len(it.out.Bundles); n > 0 {
			l.d.bundle.Store(&it.out.Bundles[n-1])
		}
		if it.snapshot != nil && !l.writing {
			l.write(ctx, it.snapshot)
		}
	}
	if len(changes) > 0 {
		l.d.batches.Add(1)
		l.d.steps.Add(uint64(len(changes)))
		l.d.pulse.committed(changes, l.cfg.Now())
		l.cfg.Committed(changes)
	}
	for _, it := range items {
		l.reply(it, answer{result: it.out.Result})
	}
}

// reply answers it and whoever repeated it. What failed may be tried again
// under the same ID.
func (l *loop) reply(it *item, a answer) {
	it.answered, it.answer = true, a
	if a.err != nil && it.done != nil && l.recent[it.in.ID] == it {
		delete(l.recent, it.in.ID)
	}
	if it.done != nil {
		it.done <- a
	}
	for _, done := range it.more {
		done <- a
	}
	it.more, it.out, it.read, it.snapshot, it.policy, it.in.Body = nil, usher.Change{}, nil, nil, nil, nil
}

// remember files an input under its ID, in place of the oldest.
func (l *loop) remember(it *item) {
	if it.read != nil || it.done == nil || it.in.ID == "" {
		return
	}
	delete(l.recent, l.ids[l.idAt])
	l.ids[l.idAt] = it.in.ID
	l.idAt = (l.idAt + 1) % remembered
	l.recent[it.in.ID] = it
}

// lose gives the floor up: it belongs to another, or the store is gone.
func (l *loop) lose(items []*item, cause error) {
	l.state = nil
	for _, it := range items {
		l.reply(it, answer{err: unavailable("the floor is being taken over", cause)})
	}
}

// revive takes the floor over again, as often as it takes, refusing whoever
// asks meanwhile. It reports false when ctx ends first.
func (l *loop) revive(ctx context.Context) bool {
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-retry.C:
			err := l.takeOver(ctx)
			if err == nil {
				l.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "floor recovered", slog.Uint64("fence", uint64(l.fence)), slog.Uint64("step", uint64(l.step)))
				return true
			}
			l.state = nil
			l.cfg.Log.LogAttrs(ctx, slog.LevelError, "floor not recovered", slog.Any("error", err))
			retry.Reset(l.cfg.Retry)
		case it := <-l.d.actions:
			l.reply(it, answer{err: unavailable("the store does not answer", nil)})
		case it := <-l.d.arrivals:
			l.reply(it, answer{err: unavailable("the store does not answer", nil)})
		case it := <-l.d.reads:
			l.reply(it, answer{err: unavailable("the store does not answer", nil)})
		case err := <-l.snapshots:
			l.written(ctx, err)
		}
	}
}

func (l *loop) refuseWaiting() {
	for {
		var it *item
		select {
		case it = <-l.d.actions:
		case it = <-l.d.arrivals:
		case it = <-l.d.reads:
		default:
			return
		}
		l.reply(it, answer{err: unavailable("usher is stopping", nil)})
	}
}

// rewind sets the timer to the floor's next deadline.
func (l *loop) rewind() {
	due, ok := l.state.Due()
	if !ok {
		l.timer.Stop()
		return
	}
	if due.Before(l.notBefore) {
		due = l.notBefore
	}
	l.timer.Reset(due.Sub(l.clock()))
}

// listen turns silence and open streams into inputs.
func (l *loop) listen(ctx context.Context) {
	now := l.cfg.Now()
	bodies, next := l.d.pulse.due(now, l.cfg.Grace)
	for _, b := range bodies {
		if !l.broken { // what is left is due again at the next look
			l.take(ctx, l.own(b))
		}
	}
	if l.broken {
		l.d.pulse.look()
	}
	if next.IsZero() {
		l.pulse.Stop()
	} else {
		l.pulse.Reset(next.Sub(now))
	}
}

// write keeps a snapshot, off the path of any answer.
func (l *loop) write(ctx context.Context, f *usher.Floor) {
	l.writing = true
	fence, store := l.fence, l.cfg.Store
	go func() { l.snapshots <- store.Snapshot(ctx, fence, *f) }()
}

func (l *loop) written(ctx context.Context, err error) {
	l.writing = false
	if err != nil { // the next one will do; a replay only takes longer
		l.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "snapshot not written", slog.Any("error", err))
	}
}
