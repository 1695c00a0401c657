package floor_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"usher"
	"usher/matcher/floor"
	"usher/matcher/policy"
)

// placing is a policy with every effect that a rule can have.
func placing() usher.PolicyVersion {
	p := usher.DefaultPolicy()
	p.Skills = []usher.Skill{{Name: "refund", Intents: []string{"refund"}}}
	p.Queues = append(p.Queues, usher.Queue{ID: "care"}, usher.Queue{ID: "night"})
	p.Rules = []usher.Rule{
		{ID: "own", When: cond("channel.kind", "eq", "web"), Then: usher.Effect{Dedicated: &usher.Dedicated{WaitS: 15}}},
		{ID: "app", When: cond("channel.kind", "eq", "app"), Then: usher.Effect{Queue: "care", HeadStartS: 30, Tags: []string{"app"}}},
		{ID: "sure", When: cond("intent.probability", "at_least", .9), Then: usher.Effect{Require: []usher.SkillLevel{{Name: "refund", Level: 2}}, Team: "gold"}},
		{ID: "bot", When: cond("intent.label", "eq", "order"), Then: usher.Effect{BotFirst: true}},
		{ID: "mail", When: cond("channel.kind", "eq", "email"), Then: usher.Effect{Agent: "a1", Prefer: []usher.SkillLevel{{Name: "refund", Level: 1}}}},
		{ID: "again", When: cond("conversation.reopened", "at_least", 1.0), Then: usher.Effect{Queue: "night"}},
		{ID: "spam", When: cond("understanding.outcome", "eq", "abstain"), Then: usher.Effect{Block: &usher.BlockEffect{Reason: "spam"}}},
	}
	return usher.PolicyVersion{Version: 1, Document: p}
}

func cond(field, op string, value any) *usher.Condition {
	return &usher.Condition{Field: field, Op: op, Value: value}
}

func compiled(t *testing.T, v usher.PolicyVersion) *policy.Compiled {
	t.Helper()
	p, faults := policy.Compile(v)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return p
}

// TestPlacedAsRouted steps random customers through a floor on which nobody
// works, and places what was journaled of them: both must say the same.
func TestPlacedAsRouted(t *testing.T) {
	t.Parallel()
	v, bundle := placing(), testBundle()
	z := floor.NewPlacer(compiled(t, v), bundle)
	k := &chaos{r: rand.New(rand.NewPCG(7, 7)), now: start}
	seen := map[string]int{}
	for range 3000 {
		f := usher.Floor{Seed: 1, Now: k.now, Policy: v, Bundle: bundle}
		one := &placed{t: t, s: mustFloor(t, f), k: k, f: f}
		var closed *usher.Conversation
		if k.pick(4) == 0 {
			one.say(nil)
			one.step(usher.Close{ConversationID: one.c.ID, Reason: "resolved"})
			old := one.c
			closed, one.turns = &old, nil
			one.now(time.Minute)
		}
		one.say(closed)
		var unanswered time.Time
		for one.c.Routing.State == usher.StateClarifying && unanswered.IsZero() {
			if k.pick(3) == 0 {
				one.now(2 * time.Minute)
				one.step(usher.Tick{})
				unanswered = k.now
				seen["unanswered"]++
				continue
			}
			seen["answered"]++
			one.now(5 * time.Second)
			one.say(nil)
		}
		if one.c.Status == usher.StatusClosed { // he told the bot that he was helped
			continue
		}
		got, sure := z.Place(one.turns, unanswered, false)
		if !sure {
			t.Fatalf("unsure: %+v", got)
		}
		if d := cmp.Diff(one.was(), got, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("routed - placed +\n%s\n%+v", d, one.c)
		}
		seen[got.Outcome]++
		if closed != nil {
			seen["reopened"]++
		}
		if got.Generalist {
			seen["generalist"]++
		}
	}
	for _, kind := range []string{"queued", "bot", "blocked", "answered", "unanswered", "reopened", "generalist"} {
		if seen[kind] < 20 {
			t.Errorf("too tame: %s %d times", kind, seen[kind])
		}
	}
}

// placed is one customer on a floor of his own.
type placed struct {
	t     *testing.T
	s     *floor.State
	k     *chaos
	f     usher.Floor
	n     usher.Step
	c     usher.Conversation
	turns []floor.Turn
}

func (p *placed) now(d time.Duration) { p.k.now = p.k.now.Add(d) }

func (p *placed) step(b usher.Body) {
	p.n++
	out := usher.Change{Step: p.n}
	p.s.Step(p.k.now, usher.Input{ID: "x", Body: b}, &out)
	if out.Result.Err != nil {
		p.t.Fatal(out.Result.Err)
	}
	for _, c := range out.Conversations {
		p.c = c
	}
}

func (p *placed) say(closed *usher.Conversation) {
	p.k.n++
	b := p.k.arrival(p.f, usher.Conversation{})
	if b.Message.Choice == "faq_ok" || b.Message.Choice == "faq_no" {
		b.Message.Choice = ""
	}
	b.Greeting = p.k.pick(4) == 0
	b.Glue = b.Greeting
	b.Closed = closed
	if len(p.turns) > 0 { // he goes on where he was
		first := p.turns[0].Arrival
		b.ConversationID, b.Customer, b.Channel = p.c.ID, first.Customer, first.Channel
	} else if closed != nil {
		b.Customer.ID = closed.CustomerID
	}
	p.step(b)
	raw, err := json.Marshal(usher.Input{ID: "x", Body: b}.Redacted())
	if err != nil {
		p.t.Fatal(err)
	}
	var in usher.Input
	if err := json.Unmarshal(raw, &in); err != nil {
		p.t.Fatal(err)
	}
	p.turns = append(p.turns, floor.Turn{
		At: p.k.now, Arrival: in.Body.(usher.Arrival),
		Asked: p.c.Routing.State == usher.StateClarifying && p.c.Routing.Reason == usher.ReasonUnsure,
	})
}

// was is how the floor placed him.
func (p *placed) was() floor.Placement {
	c, w := &p.c, &p.c.Work
	tier := p.s.Policy().Tier(c.Tier)
	out := floor.Placement{
		Outcome: "queued", Tier: c.Tier, Service: tier.Service, Queue: c.Queue, Agent: w.Pinned, AgentBy: w.PinnedBy, Team: w.Team,
		HeadStartS: w.HeadStartS, Require: w.Require, Prefer: w.Prefer, Tags: c.Tags, Rules: w.Rules, Generalist: w.Generalist,
	}
	if out.Agent == "" && tier.Service == usher.ServiceDedicatedFirst && w.Customer.Dedicated != "" {
		out.Agent, out.AgentBy = w.Customer.Dedicated, "dedicated"
	}
	if w.Reopened > 0 { // the first time left its tags
		out.Tags = out.Tags[min(len(out.Tags), p.tagsBefore()):]
	}
	switch {
	case c.Status == usher.StatusBlocked:
		out = floor.Placement{
			Outcome: "blocked", Reason: c.Routing.Reason, Tier: c.Tier, Service: tier.Service, Rules: w.Rules,
			Require: []usher.SkillLevel{}, Prefer: []usher.SkillLevel{}, Tags: out.Tags,
		}
	case c.Routing.State == usher.StateBot:
		out.Outcome, out.Reason = "bot", c.Routing.Reason
	}
	return out
}

func (p *placed) tagsBefore() int { return len(p.turns[0].Arrival.Closed.Tags) }

func TestPlacementsThatDiffer(t *testing.T) {
	t.Parallel()
	base := floor.Placement{Outcome: "queued", Queue: "general", Require: []usher.SkillLevel{}, Prefer: []usher.SkillLevel{}, Tags: []string{}}
	for name, c := range map[string]struct {
		change func(p *floor.Placement)
		want   []string
	}{
		"nothing":       {func(*floor.Placement) {}, []string{}},
		"another rule":  {func(p *floor.Placement) { p.Rules = []usher.RuleHit{{ID: "a"}} }, []string{}},
		"another queue": {func(p *floor.Placement) { p.Queue = "care" }, []string{"queue"}},
		"the bot first": {func(p *floor.Placement) { p.Outcome, p.Reason = "bot", "rule:a" }, []string{"outcome"}},
		"sooner":        {func(p *floor.Placement) { p.HeadStartS, p.Tags = 60, []string{"x"} }, []string{"head_start_s", "tags"}},
		"only seniors":  {func(p *floor.Placement) { p.Require = []usher.SkillLevel{{Name: "refund", Level: 4}} }, []string{"require"}},
	} {
		p := base
		c.change(&p)
		if got := base.Differences(&p); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A queue's hours are asked at the time when the customer came.
func TestPlacedOutOfHours(t *testing.T) {
	t.Parallel()
	v := placing()
	v.Document.Calendars = []usher.Calendar{{Name: "office", Days: map[string][]usher.Hours{"mon": {{From: "09:00", To: "18:00"}}}}}
	v.Document.Queues[0].Hours = "office"
	z := floor.NewPlacer(compiled(t, v), testBundle())
	b := usher.Arrival{Channel: usher.Channel{ID: "web", Kind: usher.KindWeb}, Customer: usher.Customer{ID: "c"}}
	for after, want := range map[time.Duration]bool{0: false, 8 * time.Hour: true, 24 * time.Hour: true} { // from Monday at ten
		if p, _ := z.Place([]floor.Turn{{At: start.Add(after), Arrival: b}}, time.Time{}, false); p.Closed != want || p.Queue != "general" {
			t.Errorf("after %s: %+v", after, p)
		}
	}
}

// What nobody can know later is told, and what a tier decides is known anyway.
func TestPlacementsThatCannotBeKnown(t *testing.T) {
	t.Parallel()
	v := placing()
	v.Document.Rules = []usher.Rule{{ID: "busy", When: cond("queue.general.waiting", "at_least", 5.0), Then: usher.Effect{Queue: "care"}}}
	z := floor.NewPlacer(compiled(t, v), testBundle())
	for tier, want := range map[string]string{"regular": "queued false", "blacklist": "blocked true"} {
		b := usher.Arrival{Channel: usher.Channel{ID: "web", Kind: usher.KindWeb}, Customer: usher.Customer{ID: "c", CRMTier: tier}}
		p, sure := z.Place([]floor.Turn{{At: start, Arrival: b}}, time.Time{}, false)
		if got := fmt.Sprint(p.Outcome, " ", sure); got != want {
			t.Errorf("%s: %s, want %s", tier, got, want)
		}
	}
}
