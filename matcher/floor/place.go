package floor

import (
	"slices"
	"time"

	"usher"
	"usher/matcher/policy"
)

// Placement is where tier and rules put a conversation before anybody is asked.
type Placement struct {
	Outcome    string             `json:"outcome"`          // queued | bot | blocked
	Reason     string             `json:"reason,omitempty"` // of bot and blocked: low_value, blacklist, rule:<id>
	Tier       string             `json:"tier"`
	Service    usher.Service      `json:"service"`
	Queue      string             `json:"queue,omitempty"`
	Agent      string             `json:"agent,omitempty"`      // who is asked before everybody else
	AgentBy    string             `json:"agent_by,omitempty"`   // dedicated, manual (the caller's hint), rule:<id>
	Team       string             `json:"team,omitempty"`       // only its members are asked
	HeadStartS int                `json:"head_start_s"`         // of tier and rules
	Require    []usher.SkillLevel `json:"require"`              // by rules, beside what the queue requires
	Prefer     []usher.SkillLevel `json:"prefer"`               //
	Tags       []string           `json:"tags"`                 // by rules
	Rules      []usher.RuleHit    `json:"rules"`                // that held, or could not be evaluated
	Closed     bool               `json:"closed,omitempty"`     // its queue was, when it came
	Generalist bool               `json:"generalist,omitempty"` // not sure what it is about: the fallback queue
}

// Differences names what differs between two placements, in the order of the
// fields: outcome, queue, agent, team, closed, service, head_start_s, require,
// prefer, tags.
func (p *Placement) Differences(o *Placement) []string {
	out := []string{}
	differ := func(name string, is bool) {
		if is {
			out = append(out, name)
		}
	}
	differ("outcome", p.Outcome != o.Outcome)
	differ("queue", p.Queue != o.Queue)
	differ("agent", p.Agent != o.Agent)
	differ("team", p.Team != o.Team)
	differ("closed", p.Closed != o.Closed)
	differ("service", p.Service != o.Service)
	differ("head_start_s", p.HeadStartS != o.HeadStartS)
	differ("require", !slices.Equal(p.Require, o.Require))
	differ("prefer", !slices.Equal(p.Prefer, o.Prefer))
	differ("tags", !slices.Equal(p.Tags, o.Tags))
	return out
}

// Turn is one message of a customer who had no agent yet. The arrival's facts
// are those of the placer's policy.
type Turn struct {
	At      time.Time
	Arrival usher.Arrival
	Asked   bool // usher asked what he meant; the next turn is the answer
}

// later is what evaluating long after can and cannot know.
type later struct {
	textGone bool // now
	unsure   bool // the result hangs on what is not known
}

// Placer tells where a policy puts conversations of the past. It decides by
// [State.evaluate], on a floor without agents and without others who wait:
// conditions on those are never guessed. It belongs to one goroutine.
type Placer struct{ state *State }

// NewPlacer makes a placer of policy p and the labels of b.
func NewPlacer(p *policy.Compiled, b usher.Bundle) *Placer {
	s := &State{
		policy: p, version: usher.PolicyVersion{Version: p.Version(), Document: p.Document()}, bundle: b,
		labels: make(map[string]int, len(b.Labels)), convs: map[string]*usher.Conversation{}, later: &later{},
	}
	for i, l := range b.Labels {
		s.labels[l.Label] = i
	}
	return &Placer{state: s}
}

// Place tells where the conversation goes that the first turn opens or reopens.
// Further turns are what its customer said before anybody was asked. unanswered is
// when a greeting or a question had got no answer for too long, zero = never;
// textGone means that what he wrote is not kept any more. It reports false when
// the placement hangs on what is not known: then it may be another.
//
// Whether a question is asked, and what is answered, is as it was: only then is
// it the policy alone that differs between two placers.
func (z *Placer) Place(turns []Turn, unanswered time.Time, textGone bool) (Placement, bool) {
	s := z.state
	*s.later = later{textGone: textGone}
	clear(s.convs)
	var c *usher.Conversation
	reopened, asked, kept := false, false, 0
	refused := func(why string) (Placement, bool) {
		// A tier is blocked whatever rules say.
		return s.placement(c, string(usher.StateBlocked), why, kept), why == usher.ReasonBlacklist || !s.later.unsure
	}
	for i := range turns {
		t := &turns[i]
		s.tx.begin(&usher.Change{}, t.At) // thrown away
		if c == nil {
			c, reopened = s.open(&t.Arrival)
			kept = len(c.Tags)
		}
		s.receive(c, &t.Arrival)
		s.learn(c, &t.Arrival)
		if why := s.evaluate(c); why != "" {
			return refused(why)
		}
		if !reopened && s.botTakes(c, &t.Arrival) {
			return s.placement(c, string(usher.StateBot), c.Work.BotWhy, kept), !s.later.unsure
		}
		if !actionable(s, c.Work.Understanding) && (c.Work.WantsHuman || asked) {
			c.Work.Generalist = true
		}
		asked = t.Asked
	}
	if !unanswered.IsZero() {
		s.tx.begin(&usher.Change{}, unanswered)
		c.Work.Generalist = true
	}
	if why := s.evaluate(c); why != "" {
		return refused(why)
	}
	return s.placement(c, string(usher.StateQueued), "", kept), !s.later.unsure
}

// placement tells what evaluate has found. The first kept tags are older.
func (s *State) placement(c *usher.Conversation, outcome, why string, kept int) Placement {
	w, tier := &c.Work, s.policy.Tier(c.Tier)
	p := Placement{
		Outcome: outcome, Reason: why, Tier: c.Tier, Service: tier.Service, Rules: w.Rules,
		Require: []usher.SkillLevel{}, Prefer: []usher.SkillLevel{}, Tags: append([]string{}, c.Tags[kept:]...),
	}
	if outcome == string(usher.StateBlocked) {
		return p
	}
	p.Queue, p.Agent, p.AgentBy, p.Team, p.HeadStartS = c.Queue, w.Pinned, w.PinnedBy, w.Team, w.HeadStartS
	p.Require, p.Prefer, p.Generalist = append(p.Require, w.Require...), append(p.Prefer, w.Prefer...), w.Generalist
	p.Closed = s.closed(c, s.tx.now)
	if p.Agent == "" && tier.Service == usher.ServiceDedicatedFirst && w.Customer.Dedicated != "" {
		p.Agent, p.AgentBy = w.Customer.Dedicated, usher.ReasonDedicated
	}
	return p
}
