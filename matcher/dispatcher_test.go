package matcher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/matcher"
	"usher/matcher/floor"
)

func bundle() usher.Bundle {
	return usher.Bundle{
		Model: usher.ModelRef{Name: "test", Version: "1"}, Embedding: "e1", ProfileScale: 0.1,
		Labels: []usher.Label{{Label: "refund", Title: map[string]string{"en": "Refund"}, Actionable: true}},
	}
}

// run starts a dispatcher and stops it when the test ends.
func run(t *testing.T, cfg matcher.Config) (d *matcher.Dispatcher, stop func()) {
	t.Helper()
	if cfg.Engine == "" {
		cfg.Engine = "test"
	}
	if cfg.Bundle.Embedding == "" {
		cfg.Bundle = bundle()
	}
	d, err := matcher.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	select {
	case <-d.Ready():
	case err := <-done:
		done <- err
		t.Fatalf("did not become ready: %v", err)
	}
	return d, stop
}

func do(t *testing.T, d *matcher.Dispatcher, id string, b usher.Body) usher.Result {
	t.Helper()
	r, err := d.Do(t.Context(), input(id, b))
	if err != nil {
		t.Fatalf("%s %s: %v", b.Kind(), id, err)
	}
	return r
}

func input(id string, b usher.Body) usher.Input {
	return usher.Input{ID: id, By: usher.Principal{Kind: "key", ID: "k", Scopes: []string{usher.ScopeAdmin}}, Body: b}
}

func agentPut(id string, units int) usher.AgentPut {
	return usher.AgentPut{Agent: usher.Agent{ID: id, Name: id, Capacity: usher.Capacity{Units: units, InterruptibleUnits: units}}}
}

func online(id string) usher.PresenceSet {
	return usher.PresenceSet{AgentID: id, Presence: usher.PresenceOnline}
}

// arrival is the first message of a new customer, under policy version 1.
func arrival(id string) usher.Arrival {
	return usher.Arrival{
		Message: usher.Message{ID: "msg_" + id, Text: "where is my refund " + id, Channel: "web", ExternalID: "x_" + id},
		Channel: usher.Channel{ID: "web", Kind: usher.KindWeb}, NewCustomer: true,
		Customer: usher.Customer{ID: "cust_" + id, Name: "Ada " + id, Identities: []usher.Identity{{Kind: "user_id", Value: id}}},
		Understanding: &usher.Understanding{
			Intents: []usher.IntentP{{Label: "refund", Probability: 0.9}}, Outcome: usher.OutcomeAccept,
			Language: usher.LanguageP{Tag: "en", Probability: 0.5},
		},
		Facts: usher.TextFacts{Version: 1, Holds: []int{}},
	}
}

// all runs n calls at once and returns their errors.
func all(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errs
}

func TestStart(t *testing.T) {
	t.Parallel()
	m := newMemory()
	d, stop := run(t, matcher.Config{Store: m})
	if want := []usher.Kind{"tick", "policy_publish", "alias_move"}; !slices.Equal(m.kinds(), want) {
		t.Errorf("first start: got %v, want %v", m.kinds(), want)
	}
	if v := d.Policy().Version(); v != 1 {
		t.Errorf("policy: got version %d, want 1", v)
	}
	if b := d.Bundle(); b.Embedding != "e1" {
		t.Errorf("bundle: got %+v", b)
	}
	stop()
	if _, err := d.Do(t.Context(), input("late", usher.Tick{})); usher.CodeOf(err) != usher.Unavailable {
		t.Errorf("after the end: got %v, want unavailable", err)
	}
	_, stop = run(t, matcher.Config{Store: m})
	stop()
	if want := []usher.Kind{"tick", "policy_publish", "alias_move", "tick"}; !slices.Equal(m.kinds(), want) {
		t.Errorf("second start: got %v, want %v", m.kinds(), want)
	}
	m.gapless(t)
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.down = errors.New("no disk")
	d, err := matcher.New(matcher.Config{Store: m, Engine: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Do(t.Context(), input("early", usher.Tick{})); usher.CodeOf(err) != usher.Unavailable {
		t.Errorf("before the start: got %v, want unavailable", err)
	}
	if err := d.Run(t.Context()); !errors.Is(err, m.down) {
		t.Errorf("run: got %v, want the store's error", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := matcher.New(matcher.Config{Grace: -1})
	for _, field := range []string{"Store", "Engine", "Grace"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want it to name %s", err, field)
		}
	}
}

// While one commit runs, what comes is stepped ahead and committed together.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d, _ := run(t, matcher.Config{Store: m})
		do(t, d, "a", agentPut("anna", 100))
		gate := hold(m)
		look(m, func() any { m.batches = nil; return nil })
		const n = 600 // more than one batch
		errs := inBackground(n, func(i int) error {
			_, err := d.Do(t.Context(), input(fmt.Sprint("in", i), arrival(strconv.Itoa(i))))
			return err
		})
		synctest.Wait()
		close(gate)
		for _, err := range <-errs {
			if err != nil {
				t.Error(err)
			}
		}
		sum, batches := 0, look(m, func() []int { return slices.Clone(m.batches) })
		for _, b := range batches {
			sum += b
			if b > 256 {
				t.Errorf("a commit of %d steps", b)
			}
		}
		if sum != n || len(batches) > 5 {
			t.Errorf("%d inputs took commits of %v", n, batches)
		}
		m.gapless(t)
	})
}

// An answer waits for the commit; so does a refusal that rests on what is not
// stored yet, and so does a reading.
func TestAnswersAfterCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d, _ := run(t, matcher.Config{Store: m})
		do(t, d, "a", agentPut("anna", 1))
		gate := hold(m)
		answers := make(chan string, 3)
		go func() {
			_, err := d.Do(t.Context(), input("put", agentPut("tom", 1)))
			answers <- fmt.Sprint("put ", err)
		}()
		synctest.Wait()
		go func() {
			_, err := d.Do(t.Context(), input("again", agentPut("tom", 1)))
			answers <- "again " + string(usher.CodeOf(err))
		}()
		synctest.Wait()
		go func() {
			l, err := d.Load(t.Context(), "tom")
			answers <- fmt.Sprint("load ", l.Units, err)
		}()
		synctest.Wait()
		if len(answers) > 0 {
			t.Fatalf("answered before the commit: %s", <-answers)
		}
		close(gate)
		got := []string{<-answers, <-answers, <-answers}
		slices.Sort(got)
		if want := []string{"again stale", "load 1 <nil>", "put <nil>"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// hold makes commits wait until the gate is closed.
func hold(m *memory) (gate chan struct{}) {
	gate = make(chan struct{})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gate = gate
	return gate
}

func inBackground(n int, f func(i int) error) <-chan []error {
	c := make(chan []error, 1)
	go func() { c <- all(n, f) }()
	return c
}

// A batch that cannot be stored is stepped again, input by input; only the one
// at fault fails, and every other answer is what was stored.
func TestCommitFailure(t *testing.T) {
	t.Parallel()
	for name, poison := range map[string]bool{"a passing fault": false, "one bad input": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				d, _ := run(t, matcher.Config{Store: m})
				do(t, d, "a", agentPut("anna", 1000))
				do(t, d, "b", online("anna"))
				failures := 0
				m.failing(func(cs []usher.Change) (error, bool) {
					for _, c := range cs {
						if poison && c.Input.ID == "in7" || !poison && failures == 0 {
							failures++
							return errors.New("constraint"), false
						}
					}
					return nil, false
				})
				gate := hold(m)
				results := make([]usher.Result, 20)
				errs := inBackground(20, func(i int) (err error) {
					results[i], err = d.Do(t.Context(), input(fmt.Sprint("in", i), arrival(strconv.Itoa(i))))
					return err
				})
				synctest.Wait()
				close(gate)
				for i, err := range <-errs {
					if poison && i == 7 {
						if usher.CodeOf(err) != usher.Internal {
							t.Errorf("the bad input: got %v, want an internal error", err)
						}
						continue
					}
					if err != nil {
						t.Errorf("input %d: %v", i, err)
						continue
					}
					c := results[i].Conversation
					if c == nil || m.conversation(c.ID).CustomerID != fmt.Sprint("cust_", i) {
						t.Errorf("input %d was answered with conversation %+v, stored is %+v", i, c, m.conversation(c.ID))
					}
				}
				if failures == 0 {
					t.Fatal("nothing failed")
				}
				m.gapless(t)
				if _, err := d.Do(t.Context(), input("in7", arrival("7"))); poison == (err == nil) {
					t.Errorf("the same input again: %v", err)
				}
				faults, err := matcher.Verify(t.Context(), m, "test")
				if err != nil || len(faults) > 0 {
					t.Errorf("journal and rows: %v, %v", faults, err)
				}
			})
		})
	}
}

// The store may keep a batch and lose the answer: nothing is applied twice.
func TestCommitAnswerLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d, _ := run(t, matcher.Config{Store: m})
		lost := 0
		m.failing(func(cs []usher.Change) (error, bool) {
			if cs[0].Input.Body.Kind() == "arrival" && lost < 2 {
				lost++
				return errors.New("timeout"), true
			}
			return nil, false
		})
		gate := hold(m)
		errs := inBackground(20, func(i int) error {
			_, err := d.Do(t.Context(), input(fmt.Sprint("in", i), arrival(strconv.Itoa(i))))
			return err
		})
		synctest.Wait()
		close(gate)
		for _, err := range <-errs {
			if err != nil {
				t.Error(err)
			}
		}
		if lost == 0 || m.conversations() != 20 {
			t.Errorf("%d answers lost, %d conversations of 20 messages", lost, m.conversations())
		}
		m.gapless(t)
	})
}

// Whoever has been overtaken stores nothing more, says so, and takes over again.
func TestFence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d, _ := run(t, matcher.Config{Store: m})
		if _, err := m.Acquire(t.Context(), "another"); err != nil {
			t.Fatal(err)
		}
		r, err := d.Do(t.Context(), input("a", agentPut("anna", 1)))
		e, _ := errors.AsType[*usher.Error](err)
		if e == nil || e.Code != usher.Unavailable || e.RetryAfter <= 0 {
			t.Fatalf("got %+v, %v, want unavailable with a time to come back", r, err)
		}
		if look(m, func() int { return len(m.agents) }) != 0 {
			t.Error("the overtaken one stored a row")
		}
		do(t, d, "a", agentPut("anna", 1)) // the same ID: it failed, so it may be tried again
		if f := look(m, func() usher.Fence { return m.fence }); f != 3 {
			t.Errorf("fence %d after a second take-over, want 3", f)
		}
		m.gapless(t)
	})
}

// A store that is gone answers unavailable at once, until it is back.
func TestStoreGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d, _ := run(t, matcher.Config{Store: m})
		m.mu.Lock()
		m.down = errors.New("gone")
		m.fail = func([]usher.Change) (error, bool) { return errors.New("gone"), false }
		m.mu.Unlock()
		for i := range 3 {
			if _, err := d.Do(t.Context(), input(fmt.Sprint("a", i), agentPut("anna", 1))); usher.CodeOf(err) != usher.Unavailable {
				t.Errorf("got %v, want unavailable", err)
			}
		}
		if _, err := d.Load(t.Context(), "anna"); usher.CodeOf(err) != usher.Unavailable {
			t.Errorf("load: got %v, want unavailable", err)
		}
		m.mu.Lock()
		m.down, m.fail = nil, nil
		m.mu.Unlock()
		<-time.After(2 * time.Second)
		do(t, d, "a0", agentPut("anna", 1))
	})
}

// A rule that panics costs the one who met it an answer, and nobody a row.
func TestPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var log bytes.Buffer
		d, _ := run(t, matcher.Config{Store: m, Log: slog.New(slog.NewTextHandler(&log, nil))})
		do(t, d, "a", agentPut("anna", 100))
		gate := hold(m)
		errs := inBackground(10, func(i int) error {
			_, err := d.Do(t.Context(), input(fmt.Sprint("in", i), arrival(strconv.Itoa(i))))
			return err
		})
		synctest.Wait()
		bad := inBackground(1, func(int) error {
			return d.Read(t.Context(), func(s *floor.State, now time.Time) {
				var out usher.Change // a floor that went astray
				s.Step(now, input("astray", usher.AgentRemove{AgentID: "anna"}), &out)
				panic("no such rule")
			})
		})
		synctest.Wait()
		later := inBackground(10, func(i int) error {
			_, err := d.Do(t.Context(), input(fmt.Sprint("later", i), arrival(fmt.Sprint("later", i))))
			return err
		})
		synctest.Wait()
		close(gate)
		for _, err := range append(<-errs, <-later...) {
			if err != nil {
				t.Error(err)
			}
		}
		if err := (<-bad)[0]; usher.CodeOf(err) != usher.Internal {
			t.Errorf("who met the panic: got %v, want an internal error", err)
		}
		if l, err := d.Load(t.Context(), "anna"); err != nil || l.Units != 100 {
			t.Errorf("anna: %+v, %v; the floor is still astray", l, err)
		}
		if m.conversations() != 20 || !strings.Contains(log.String(), "no such rule") {
			t.Errorf("%d conversations of 20; log %q", m.conversations(), log.String())
		}
		m.gapless(t)
		if faults, err := matcher.Verify(t.Context(), m, "test"); err != nil || len(faults) > 0 {
			t.Errorf("journal and rows: %v, %v", faults, err)
		}
	})
}

// stall keeps the loop from taking anything, until release.
func stall(t *testing.T, d *matcher.Dispatcher, hook *func([]usher.Change)) (release func()) {
	t.Helper()
	gate := make(chan struct{})
	*hook = func([]usher.Change) { <-gate }
	go func() {
		if _, err := d.Do(context.Background(), input("stall", agentPut("stall", 1))); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	return func() {
		*hook = func([]usher.Change) {}
		close(gate)
	}
}

// What agents do comes before new messages: it makes room.
func TestActionsFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		hook := func([]usher.Change) {}
		d, _ := run(t, matcher.Config{Store: m, Committed: func(cs []usher.Change) { hook(cs) }})
		release := stall(t, d, &hook)
		before := len(m.kinds())
		arrivals := inBackground(5, func(i int) error {
			_, err := d.Do(t.Context(), input(fmt.Sprint("m", i), arrival(strconv.Itoa(i))))
			return err
		})
		synctest.Wait()
		actions := inBackground(3, func(i int) error {
			_, err := d.Do(t.Context(), input(fmt.Sprint("a", i), agentPut(fmt.Sprint("a", i), 1)))
			return err
		})
		synctest.Wait()
		release()
		for _, err := range append(<-arrivals, <-actions...) {
			if err != nil {
				t.Error(err)
			}
		}
		got := m.kinds()[before:]
		want := []usher.Kind{"agent_put", "agent_put", "agent_put", "arrival", "arrival", "arrival", "arrival", "arrival"}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestOverload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		hook := func([]usher.Change) {}
		d, _ := run(t, matcher.Config{Store: m, Arrivals: 2, Actions: 3, Committed: func(cs []usher.Change) { hook(cs) }})
		release := stall(t, d, &hook)
		errs := inBackground(5, func(i int) error {
			_, err := d.Do(t.Context(), input(fmt.Sprint("m", i), arrival(strconv.Itoa(i))))
			return err
		})
		synctest.Wait()
		// Messages are refused while agents still get through.
		if got := d.Stats(); got.Arrivals != 2 {
			t.Errorf("%d messages wait, want 2", got.Arrivals)
		}
		actions := inBackground(4, func(i int) error {
			_, err := d.Do(t.Context(), input(fmt.Sprint("a", i), agentPut(fmt.Sprint("a", i), 1)))
			return err
		})
		synctest.Wait()
		release()
		count := func(errs []error) (refused int) {
			for _, err := range errs {
				if err == nil {
					continue
				}
				e, _ := errors.AsType[*usher.Error](err)
				if e == nil || e.Code != usher.Overloaded || e.RetryAfter <= 0 {
					t.Errorf("got %v, want overloaded with a time to come back", err)
				}
				refused++
			}
			return refused
		}
		if n := count(<-errs); n != 3 {
			t.Errorf("%d of 5 messages refused, want 3", n)
		}
		if n := count(<-actions); n != 1 {
			t.Errorf("%d of 4 actions refused, want 1", n)
		}
		if m.conversations() != 2 {
			t.Errorf("%d conversations: what was refused was applied", m.conversations())
		}
	})
}

// A caller who went away before his turn changes nothing.
func TestGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		hook := func([]usher.Change) {}
		d, _ := run(t, matcher.Config{Store: m, Committed: func(cs []usher.Change) { hook(cs) }})
		release := stall(t, d, &hook)
		ctx, cancel := context.WithCancel(t.Context())
		errs := inBackground(1, func(int) error {
			_, err := d.Do(ctx, input("m", arrival("1")))
			return err
		})
		synctest.Wait()
		cancel()
		if err := (<-errs)[0]; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context canceled", err)
		}
		release()
		synctest.Wait()
		if m.conversations() != 0 {
			t.Error("the message was accepted")
		}
	})
}

func TestRepeatedInput(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d, _ := run(t, matcher.Config{Store: m})
		gate := hold(m)
		results := make([]usher.Result, 4)
		errs := inBackground(4, func(i int) (err error) { // all before the first answer
			results[i], err = d.Do(t.Context(), input("same", arrival("1")))
			return err
		})
		synctest.Wait()
		close(gate)
		for _, err := range <-errs {
			if err != nil {
				t.Error(err)
			}
		}
		later := do(t, d, "same", arrival("1"))
		for _, r := range slices.Concat(results, []usher.Result{later}) {
			if r.Conversation == nil || r.Conversation.ID != results[0].Conversation.ID {
				t.Errorf("another result: %+v", r.Conversation)
			}
		}
		if m.conversations() != 1 {
			t.Errorf("%d conversations of one message", m.conversations())
		}
		for range 2 { // a refusal is a result too
			if _, err := d.Do(t.Context(), input("no", usher.Accept{OfferID: "offer_x"})); usher.CodeOf(err) != usher.NotFound {
				t.Errorf("got %v, want not_found", err)
			}
		}
	})
}

// Deadlines fire by themselves, and at the deadline means expired.
func TestTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d, _ := run(t, matcher.Config{Store: m})
		do(t, d, "a", agentPut("anna", 1))
		do(t, d, "b", online("anna"))
		r := do(t, d, "c", arrival("1"))
		if r.Routing.State != usher.StateOffered {
			t.Fatalf("routing: got %+v, want an offer", r.Routing)
		}
		<-time.After(30*time.Second - time.Microsecond)
		synctest.Wait()
		if o := m.offer(r.Routing.Offer.ID); o.State != usher.OfferPending {
			t.Errorf("a moment before the deadline: %s", o.State)
		}
		<-time.After(time.Microsecond)
		synctest.Wait()
		if o := m.offer(r.Routing.Offer.ID); o.State != usher.OfferIsExpired {
			t.Errorf("at the deadline: %s, want expired", o.State)
		}
		m.gapless(t)
	})
}

// After a restart offers that lapsed meanwhile end, without a miss.
func TestRecovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d, stop := run(t, matcher.Config{Store: m})
		do(t, d, "a", agentPut("anna", 1))
		do(t, d, "b", online("anna"))
		r := do(t, d, "c", arrival("1"))
		stop()
		<-time.After(time.Hour)
		d, _ = run(t, matcher.Config{Store: m})
		o := m.offer(r.Routing.Offer.ID)
		if o.State != usher.OfferIsExpired || o.Reason != "recovery" {
			t.Errorf("the old offer is %s (%s)", o.State, o.Reason)
		}
		if s := m.state("anna"); s.Misses != 0 || s.Presence != usher.PresenceOnline {
			t.Errorf("anna is %+v", s)
		}
		if l, err := d.Load(t.Context(), "anna"); err != nil || len(l.Offers) != 1 || l.Offers[0].ID == o.ID {
			t.Errorf("anna is offered %+v, %v; want a new offer", l.Offers, err)
		}
		m.gapless(t)
	})
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d, stop := run(t, matcher.Config{Store: m})
		presence := func(id string) usher.Presence {
			synctest.Wait()
			return m.state(id).Presence
		}
		for _, id := range []string{"beats", "streams", "silent"} {
			do(t, d, id, agentPut(id, 1))
			do(t, d, "on "+id, online(id))
		}
		if err := d.Beat(t.Context(), "nobody"); usher.CodeOf(err) != usher.NotFound {
			t.Errorf("beat of nobody: got %v, want not_found", err)
		}
		release := d.Watch("streams")
		steps := m.steps()
		for range 10 {
			if err := d.Beat(t.Context(), "beats"); err != nil {
				t.Fatal(err)
			}
			<-time.After(15 * time.Second)
		}
		synctest.Wait()
		if n := m.steps() - steps; n > 2 {
			t.Errorf("%d steps for heartbeats: only the first of each is an input", n)
		}
		<-time.After(45*time.Second - time.Microsecond) // 60 s after the last beat
		for _, id := range []string{"beats", "streams", "silent"} {
			if p := presence(id); p != usher.PresenceOnline {
				t.Errorf("%s is %s within the grace", id, p)
			}
		}
		<-time.After(time.Microsecond)
		if p := presence("beats"); p != usher.PresenceOffline || m.state("beats").PresenceReason != "lost" {
			t.Errorf("beats is %s after the grace, want lost", p)
		}
		<-time.After(time.Hour)
		if a, b := presence("streams"), presence("silent"); a != usher.PresenceOnline || b != usher.PresenceOnline {
			t.Errorf("a stream is %s, who never beat is %s", a, b)
		}
		release()
		release()
		<-time.After(59 * time.Second)
		if p := presence("streams"); p != usher.PresenceOnline {
			t.Errorf("the stream is %s before its grace ended", p)
		}
		<-time.After(time.Second)
		if p := presence("streams"); p != usher.PresenceOffline {
			t.Errorf("the stream is %s after its grace", p)
		}

		// Coming back begins anew; after a restart everybody gets one full grace.
		do(t, d, "back", online("beats"))
		<-time.After(time.Hour)
		if p := presence("beats"); p != usher.PresenceOnline {
			t.Errorf("who has not beaten since he came back is %s", p)
		}
		if err := d.Beat(t.Context(), "beats"); err != nil {
			t.Fatal(err)
		}
		<-time.After(50 * time.Second)
		stop()
		<-time.After(time.Hour)
		run(t, matcher.Config{Store: m})
		<-time.After(59 * time.Second)
		if p := presence("beats"); p != usher.PresenceOnline {
			t.Errorf("%s within the grace after a restart", p)
		}
		<-time.After(time.Second)
		if p := presence("beats"); p != usher.PresenceOffline {
			t.Errorf("%s after the grace", p)
		}
	})
}

func TestLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d, stop := run(t, matcher.Config{Store: m})
		if l := d.Live(); len(l.Agents) != 0 || len(l.Queues) != 1 {
			t.Errorf("at start: %+v", l)
		}
		do(t, d, "a", agentPut("anna", 1))
		<-time.After(249 * time.Millisecond)
		if l := d.Live(); len(l.Agents) != 0 {
			t.Error("rebuilt before its time")
		}
		<-time.After(time.Millisecond)
		if l := d.Live(); len(l.Agents) != 1 {
			t.Error("older than 250 ms")
		}
		stop()
		<-time.After(time.Second)
		if l := d.Live(); len(l.Agents) != 1 {
			t.Error("the last known floor is forgotten")
		}
	})
}

// Who has been let in is answered; who comes later is refused.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		d, stop := run(t, matcher.Config{Store: m})
		gate := hold(m)
		const n = 400
		errs := inBackground(n, func(i int) error {
			_, err := d.Do(t.Context(), input(fmt.Sprint("in", i), arrival(strconv.Itoa(i))))
			return err
		})
		synctest.Wait()
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		synctest.Wait()
		if _, err := d.Do(t.Context(), input("late", arrival("late"))); usher.CodeOf(err) != usher.Unavailable {
			t.Errorf("late: got %v, want unavailable", err)
		}
		close(gate)
		for _, err := range <-errs {
			if err != nil {
				t.Error(err)
			}
		}
		<-stopped
		if m.conversations() != n {
			t.Errorf("%d conversations of %d messages", m.conversations(), n)
		}
	})
}

// The clock may be set back; steps never are.
func TestTimeNeverGoesBack(t *testing.T) {
	t.Parallel()
	m := newMemory()
	now := time.Date(2026, 3, 2, 9, 0, 0, 999, time.UTC)
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	d, stop := run(t, matcher.Config{Store: m, Now: clock})
	do(t, d, "a", agentPut("a", 1))
	mu.Lock()
	now = now.Add(-time.Hour)
	mu.Unlock()
	do(t, d, "b", agentPut("b", 1))
	stop()
	d, _ = run(t, matcher.Config{Store: m, Now: clock})
	do(t, d, "c", agentPut("c", 1))
	log := look(m, func() []usher.Change { return slices.Clone(m.log) })
	for i, c := range log {
		if i > 0 && c.Now.Before(log[i-1].Now) {
			t.Errorf("step %d at %s, after one at %s", c.Step, c.Now, log[i-1].Now)
		}
		if c.Now.Nanosecond()%1000 != 0 || c.Now.Location() != time.UTC {
			t.Errorf("step %d at %s: not whole microseconds of UTC", c.Step, c.Now)
		}
	}
}

func TestMatchChangesNothing(t *testing.T) {
	t.Parallel()
	m := newMemory()
	d, _ := run(t, matcher.Config{Store: m})
	do(t, d, "a", agentPut("anna", 1))
	do(t, d, "b", online("anna"))
	steps := len(m.kinds())
	for range 3 {
		got, err := d.Match(t.Context(), arrival("1"))
		if err != nil || got.Chosen != "anna" {
			t.Fatalf("got %+v, %v, want anna", got, err)
		}
	}
	if n := len(m.kinds()); n != steps {
		t.Errorf("%d steps for a dry run", n-steps)
	}
	if r := do(t, d, "c", arrival("1")); r.Routing.State != usher.StateOffered {
		t.Errorf("after dry runs: %+v", r.Routing)
	}
}
