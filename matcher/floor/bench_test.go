package floor_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"usher"
)

// journal is a recorded shift of 1,000 agents: arrivals, accepts and closes in
// equal number, at a load of about 0.6.
func journal(tb testing.TB, agents, conversations int) (usher.Floor, []recorded) {
	tb.Helper()
	k := &chaos{r: rand.New(rand.NewPCG(7, 7)), now: start}
	s := mustFloor(&testing.T{}, usher.Floor{Seed: 7, Now: start})
	var step usher.Step
	do := func(b usher.Body) usher.Change {
		var out usher.Change
		out.Step = step + 1
		k.n++
		s.Step(k.now, usher.Input{ID: strconv.Itoa(k.n), By: usher.Principal{Scopes: []string{"admin"}}, Body: b}, &out)
		if out.Changed() {
			step++
		}
		return out
	}
	for _, in := range seedInputs() {
		do(in.Body)
	}
	for i := range agents {
		put := k.agent(usher.Floor{}, fmt.Sprintf("a%04d", i))
		put.Agent.Capacity.Units = 3
		do(put)
		do(usher.PresenceSet{AgentID: put.Agent.ID, Presence: usher.PresenceOnline})
	}
	before := s.Floor()
	var rec []recorded
	add := func(b usher.Body) usher.Change {
		out := do(b)
		rec = append(rec, recorded{k.now, out.Input})
		return out
	}
	type open struct{ id string }
	var busy []open
	for range conversations {
		k.now = k.now.Add(50 * time.Millisecond)
		b := k.arrival(usher.Floor{Policy: usher.PolicyVersion{Version: 1}}, usher.Conversation{})
		b.Customer.ID = fmt.Sprint("c", k.n)
		b.Customer.Attributes, b.Customer.CRMTier, b.Customer.Manual = nil, "", nil
		b.Understanding.Outcome = usher.OutcomeAccept
		out := add(b)
		for _, o := range out.Offers {
			add(usher.Accept{OfferID: o.ID})
			busy = append(busy, open{o.ConversationID})
		}
		if len(busy) > agents*18/10 {
			add(usher.Close{ConversationID: busy[0].id, Reason: "resolved"})
			busy = busy[1:]
		}
	}
	return before, rec
}

type recorded struct {
	now time.Time
	in  usher.Input
}

// BenchmarkStep steps a recorded journal without a store. Budget: at least
// 25,000 decisions a second at 1,000 agents, one core.
func BenchmarkStep(b *testing.B) {
	f, rec := journal(b, 1000, 6000)
	s, step, decisions := mustFloor(&testing.T{}, f), f.Step, 0
	i := 0
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if i == len(rec) {
			b.StopTimer()
			s, step, i = mustFloor(&testing.T{}, f), f.Step, 0
			b.StartTimer()
		}
		var out usher.Change
		out.Step = step + 1
		s.Step(rec[i].now, rec[i].in, &out)
		if out.Changed() {
			step++
		}
		decisions += len(out.Decisions)
		i++
	}
	b.ReportMetric(float64(decisions)/b.Elapsed().Seconds(), "decisions/s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}
