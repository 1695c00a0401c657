// Package matcher is the shell around the pure floor: it gives inputs their
// order and their time, commits what each one decided, and answers only then.
//
// One goroutine owns the floor. It steps ahead while one commit runs, at most
// one batch; a commit that fails throws the floor away, loads it again and steps
// the same inputs one by one. Package matcher/floor holds the rules,
// matcher/policy the policy, matcher/rank the order of agents.
package matcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"usher"
	"usher/matcher/floor"
	"usher/matcher/policy"
)

// Store keeps the floor and the log. A holder whose fence has been passed gets
// [usher.Unavailable] from Commit and Snapshot.
type Store interface {
	Acquire(ctx context.Context, holder string) (usher.Fence, error)
	Load(ctx context.Context) (usher.Floor, usher.Step, error)
	Commit(ctx context.Context, f usher.Fence, cs []usher.Change) error
	Snapshot(ctx context.Context, f usher.Fence, fl usher.Floor) error
}

// Config of a [Dispatcher].
type Config struct {
	Store  Store        // required
	Bundle usher.Bundle // of the model that answers; the floor moves to it at start if it has another
	Engine string       // build and architecture, recorded with each decision; required
	Holder string       // who holds the floor, told to other processes; defaults to "usher"
	Log    *slog.Logger // defaults to none

	// Now is the clock; defaults to time.Now.
	Now func() time.Time
	// Committed is called after each commit with its changes, on the goroutine
	// that owns the floor: it must not block, nor call the Dispatcher.
	Committed func([]usher.Change)

	Grace         time.Duration // silence of an agent who beats, before he is lost; defaults to 60 s
	Arrivals      int           // messages that may wait; defaults to 1,024
	Actions       int           // other inputs that may wait; defaults to 4,096
	SnapshotEvery usher.Step    // steps between snapshots; defaults to 10,000
	LiveAge       time.Duration // how old Live may be; defaults to 250 ms
	Retry         time.Duration // between attempts to reach a store that is gone; defaults to 1 s
}

// WithDefaults returns c with every default filled in.
func (c Config) WithDefaults() Config {
	if c.Holder == "" {
		c.Holder = "usher"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Committed == nil {
		c.Committed = func([]usher.Change) {}
	}
	c.Grace = cmp.Or(c.Grace, time.Minute)
	c.LiveAge = cmp.Or(c.LiveAge, 250*time.Millisecond)
	c.Retry = cmp.Or(c.Retry, time.Second)
	c.Arrivals = cmp.Or(c.Arrivals, 1024)
	c.Actions = cmp.Or(c.Actions, 4096)
	c.SnapshotEvery = cmp.Or(c.SnapshotEvery, 10_000)
	return c
}

// Validate lists everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("matcher: Store is required"))
	}
	if c.Engine == "" {
		errs = append(errs, errors.New("matcher: Engine is required"))
	}
	if c.Grace < 0 || c.Arrivals < 0 || c.Actions < 0 || c.LiveAge < 0 || c.Retry < 0 {
		errs = append(errs, errors.New("matcher: Grace, Arrivals, Actions, LiveAge and Retry must not be negative"))
	}
	return errors.Join(errs...)
}

// Dispatcher is the one door to the floor. Its methods may be called from any
// goroutine; they answer [usher.Unavailable] while [Dispatcher.Run] does not run.
type Dispatcher struct {
	cfg      Config
	actions  chan *item // taken first: they free capacity
	arrivals chan *item
	reads    chan *item

	ready    chan struct{}
	stopping chan struct{} // no more inputs are taken
	stopped  chan struct{} // nothing will be answered any more

	policy atomic.Pointer[policy.Compiled]
	bundle atomic.Pointer[usher.Bundle]

	liveMu sync.Mutex // one rebuild at a time
	live   atomic.Pointer[usher.Live]

	pulse   pulse
	batches atomic.Uint64
	steps   atomic.Uint64
}

// New checks the configuration; nothing runs before Run.
func New(cfg Config) (*Dispatcher, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	d := &Dispatcher{
		cfg:      cfg,
		actions:  make(chan *item, cfg.Actions),
		arrivals: make(chan *item, cfg.Arrivals),
		reads:    make(chan *item, 64),
		ready:    make(chan struct{}),
		stopping: make(chan struct{}),
		stopped:  make(chan struct{}),
		pulse:    pulse{nudge: make(chan struct{}, 1), agents: map[string]*agentPulse{}},
	}
	return d, nil
}

// Ready is closed when the floor is recovered and inputs are taken.
func (d *Dispatcher) Ready() <-chan struct{} { return d.ready }

// Do applies one input and returns when what it decided is stored. A refusal is
// returned as the error, an [usher.Error], and in Result.Err; nothing of the
// input is stored then. A repeated ID within the last thousand inputs returns
// the first result. When ctx ends while the input still waits it is not
// applied; after that it may be, and the same ID tells.
func (d *Dispatcher) Do(ctx context.Context, in usher.Input) (usher.Result, error) {
	if in.Body == nil {
		return usher.Result{}, usher.Errorf(usher.InvalidArgument, "an input needs a body")
	}
	box := d.actions
	if _, ok := in.Body.(usher.Arrival); ok {
		box = d.arrivals
	}
	it := &item{in: in, done: make(chan answer, 1), gone: ctx.Done()}
	if err := ctx.Err(); err != nil {
		return usher.Result{}, err
	}
	if err := d.open(); err != nil {
		return usher.Result{}, err
	}
	select {
	case box <- it:
	default:
		e := usher.Errorf(usher.Overloaded, "too many requests wait for the floor")
		e.RetryAfter = time.Second
		return usher.Result{}, e
	}
	switch a, answered := d.wait(it); {
	case !answered:
		return usher.Result{}, ctx.Err()
	case a.err != nil:
		return usher.Result{}, a.err
	case a.result.Err != nil:
		return a.result, a.result.Err
	default:
		return a.result, nil
	}
}

// open refuses outside of start and end.
func (d *Dispatcher) open() error {
	select {
	case <-d.stopping:
		return unavailable("usher is stopping", nil)
	default:
	}
	select {
	case <-d.ready:
		return nil
	default:
		return unavailable("the floor is not ready yet", nil)
	}
}

// wait returns the answer to it; false when its caller has gone.
func (d *Dispatcher) wait(it *item) (answer, bool) {
	select {
	case a := <-it.done:
		return a, true
	case <-it.gone:
		return answer{}, false
	case <-d.stopped:
	}
	select {
	case a := <-it.done:
		return a, true
	default:
		return answer{err: unavailable("usher is stopping", nil)}, true
	}
}

func unavailable(why string, cause error) *usher.Error {
	e := usher.Errorf(usher.Unavailable, "%s", why).Because(cause)
	e.RetryAfter = time.Second
	return e
}

// read runs fn on the goroutine that owns the floor and returns when all that fn
// could see is stored. When it fails fn may be running still: what fn writes must
// not be read then.
func (d *Dispatcher) read(ctx context.Context, fn func(s *floor.State, now time.Time)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	answered, err := d.ask(ctx.Done(), fn)
	if !answered {
		return ctx.Err()
	}
	return err
}

// ask is read for a caller who waits until gone is closed, and then is not answered.
func (d *Dispatcher) ask(gone <-chan struct{}, fn func(s *floor.State, now time.Time)) (answered bool, err error) {
	if err := d.open(); err != nil {
		return true, err
	}
	it := &item{read: fn, done: make(chan answer, 1), gone: gone}
	select {
	case d.reads <- it:
	case <-gone:
		return false, nil
	case <-d.stopped:
		return true, unavailable("usher is stopping", nil)
	}
	a, answered := d.wait(it)
	return answered, a.err
}

// Policy returns the serving policy; nil before the floor is ready.
func (d *Dispatcher) Policy() *policy.Compiled { return d.policy.Load() }

// Bundle returns what the floor knows of the model that answers.
func (d *Dispatcher) Bundle() usher.Bundle {
	if b := d.bundle.Load(); b != nil {
		return *b
	}
	return d.cfg.Bundle
}

// Live returns the floor as it was at most LiveAge ago, and the last known one
// when the floor cannot be read.
func (d *Dispatcher) Live() usher.Live {
	fresh := func() (usher.Live, bool) {
		l := d.live.Load()
		if l == nil {
			return usher.Live{Queues: []usher.LiveQueue{}, Agents: []usher.LiveAgent{}, Channels: []usher.LiveChannel{}, Alarms: []usher.Alarm{}}, false
		}
		return *l, d.cfg.Now().Sub(l.AsOf) < d.cfg.LiveAge
	}
	if l, ok := fresh(); ok {
		return l
	}
	d.liveMu.Lock()
	defer d.liveMu.Unlock()
	if l, ok := fresh(); ok { // another has asked meanwhile
		return l
	}
	gone := make(chan struct{})
	patience := time.AfterFunc(10*d.cfg.LiveAge, func() { close(gone) })
	defer patience.Stop()
	var now usher.Live
	if answered, err := d.ask(gone, func(s *floor.State, at time.Time) { now = s.Live(at) }); !answered || err != nil {
		l, _ := fresh()
		return l
	}
	d.live.Store(&now)
	return now
}

// Match decides what would become of an arrival now, and changes nothing.
func (d *Dispatcher) Match(ctx context.Context, q usher.Arrival) (usher.Decision, error) {
	var out usher.Decision
	if err := d.read(ctx, func(s *floor.State, now time.Time) { out = s.Match(now, q) }); err != nil {
		return usher.Decision{}, err
	}
	return out, nil
}

// Load returns what an agent holds now.
func (d *Dispatcher) Load(ctx context.Context, agentID string) (usher.AgentLoad, error) {
	var out usher.AgentLoad
	var ok bool
	if err := d.read(ctx, func(s *floor.State, _ time.Time) { out, ok = s.Load(agentID) }); err != nil {
		return usher.AgentLoad{}, err
	}
	if !ok {
		return usher.AgentLoad{}, usher.Errorf(usher.NotFound, "there is no agent %q", agentID)
	}
	return out, nil
}

// Routing returns a conversation's routing as it stands now, its place in the
// queue counted anew; false when it is not on the floor.
func (d *Dispatcher) Routing(ctx context.Context, conversationID string) (usher.Routing, bool, error) {
	var out usher.Routing
	var ok bool
	if err := d.read(ctx, func(s *floor.State, now time.Time) { out, ok = s.Routing(conversationID, now) }); err != nil {
		return usher.Routing{}, false, err
	}
	return out, ok, nil
}

// Waiting returns the ids of the conversations whose text facts a
// [usher.PolicyPublish] must give.
func (d *Dispatcher) Waiting(ctx context.Context) ([]string, error) {
	var ids []string
	if err := d.read(ctx, func(s *floor.State, _ time.Time) { ids = s.Waiting() }); err != nil {
		return nil, err
	}
	return ids, nil
}

// Stats counts since start.
type Stats struct {
	Batches  uint64 // commits
	Steps    uint64 // steps in them
	Arrivals int    // messages that wait
	Actions  int    // other inputs that wait
}

// Stats returns the counts so far.
func (d *Dispatcher) Stats() Stats {
	return Stats{Batches: d.batches.Load(), Steps: d.steps.Load(), Arrivals: len(d.arrivals), Actions: len(d.actions)}
}

// Run owns the floor until ctx ends; then it refuses what comes, commits what
// waits, and returns nil. It fails when the floor cannot be recovered at start;
// a store that goes away later is tried again.
func (d *Dispatcher) Run(ctx context.Context) error {
	l := newLoop(d)
	defer close(d.stopped)
	defer l.end(context.WithoutCancel(ctx))
	if err := l.start(ctx); err != nil {
		return fmt.Errorf("recover floor: %w", err)
	}
	close(d.ready)
	l.run(ctx)
	return nil
}
