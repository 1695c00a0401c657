package floor

import (
	"slices"
	"strings"
	"time"

	"usher"
	"usher/matcher/policy"
	"usher/matcher/rank"
)

// facts are what rules may ask about c.
func (s *State) facts(c *usher.Conversation) *policy.Facts {
	w := &c.Work
	f := &policy.Facts{
		Holds: w.Facts.Holds, Attachments: w.Attachments, Language: c.Language,
		Channel: usher.Channel{ID: c.Channel, Kind: w.Kind}, Understanding: w.Understanding,
		Customer: w.Customer, History: w.History, Transfers: w.Transfers, Reopened: w.Reopened, Now: s.tx.now,
	}
	if s.later != nil {
		f.TextGone = s.later.textGone
		return f
	}
	f.Queue = func(id string) policy.QueueFacts { return s.queueFacts(id, s.tx.now) }
	return f
}

// evaluate applies tier and rules to c and returns why it is blocked, or "".
// It changes c alone.
func (s *State) evaluate(c *usher.Conversation) (blocked string) {
	w := &c.Work
	c.Tier = w.Customer.Tier
	tier := s.policy.Tier(c.Tier)
	e := s.policy.Evaluate(s.facts(c))
	if s.later != nil {
		s.later.unsure = s.later.unsure || e.Unsure
	}
	w.Rules = e.Hits
	if w.Rules == nil {
		w.Rules = []usher.RuleHit{}
	}
	for _, t := range e.Tags {
		if !slices.Contains(c.Tags, t) && !slices.Contains(w.Untagged, t) {
			c.Tags = append(slices.Clone(c.Tags), t)
		}
	}
	w.HeadStartS = max(tier.HeadStartS, e.HeadStartS)
	switch {
	case e.BotFirst:
		w.BotWhy = byRule(e.BotRule)
	case tier.Service == usher.ServiceBotFirst:
		w.BotWhy = usher.ReasonLowValue
	default:
		w.BotWhy = ""
	}
	switch {
	case tier.Service == usher.ServiceBlock:
		return usher.ReasonBlacklist
	case e.Blocked:
		return byRule(e.BlockRule)
	}
	queue := s.policy.Document().Fallback.Queue
	w.Require, w.Prefer, w.Team, w.Pinned, w.PinnedBy, w.WaitForS = []usher.SkillLevel{}, []usher.SkillLevel{}, "", "", "", 0
	w.Next, w.NextBy = "", ""
	if !w.Generalist {
		queue = firstOf(e.Queue, queue)
		w.Require, w.Prefer, w.Team = slices.Concat(w.Require, e.Require), slices.Concat(w.Prefer, e.Prefer), e.Team
		if e.Agent != "" {
			w.Pinned, w.PinnedBy = e.Agent, byRule(e.AgentRule)
		}
	}
	if _, ok := s.policy.Queue(w.Hints.Queue); ok && !w.Generalist { // a request for a human goes before the caller's hints
		queue = w.Hints.Queue
	}
	if _, ok := s.policy.Queue(w.ToQueue); ok {
		queue = w.ToQueue
	}
	for _, k := range w.Hints.Skills {
		w.Prefer = append(w.Prefer, usher.SkillLevel{Name: k, Level: 1})
	}
	if e.Dedicated != nil && w.Customer.Dedicated != "" {
		w.Next, w.NextBy = w.Pinned, w.PinnedBy
		w.Pinned, w.PinnedBy, w.WaitForS = w.Customer.Dedicated, usher.ReasonDedicated, e.Dedicated.WaitS
	}
	if w.Hints.AgentID != "" { // the caller's hints go before the dedicated agent
		w.Next, w.NextBy = w.Pinned, w.PinnedBy
		w.Pinned, w.PinnedBy, w.WaitForS = w.Hints.AgentID, usher.ReasonManual, 0
	}
	if queue != c.Queue {
		c.Queue, w.Relaxed = queue, 0
	}
	return ""
}

// byRule is the reason code of what a rule decided.
func byRule(id string) string { return "rule:" + id }

// queryFor writes what ranking must know of c. The query is reused: it is good
// until the next call.
func (s *State) queryFor(c *usher.Conversation, now time.Time) *rank.Query {
	w, q := &c.Work, &s.query
	intents := q.Intents[:0]
	require, prefer, excluded, declined := q.Require[:0], q.Prefer[:0], q.Excluded[:0], q.Declined[:0]
	*q = rank.Query{
		Now: now, ProfileMean: s.bundle.ProfileMean, ProfileScale: s.bundle.ProfileScale,
		WorkspaceLanguage: s.language, ChannelID: c.Channel, Interruptible: w.Kind.Interruptible(), Units: w.Units,
		Team: w.Team, Value: s.value(c), Selection: s.selection(c), Weights: s.weights,
		OpenAgent: w.History.OpenAgent, Prefers: w.Prefers, Dedicated: w.Customer.Dedicated, Top: topCandidates,
	}
	if w.Understanding != nil {
		for range s.bundle.Labels {
			intents = append(intents, 0)
		}
		for _, p := range w.Understanding.Intents {
			if i, ok := s.labels[p.Label]; ok {
				intents[i] = p.Probability
			}
		}
		q.Intents = intents
	}
	if w.Vector != nil && w.Vector.Embedding == s.bundle.Embedding {
		q.Vector = w.Vector.Match
	}
	q.Language, q.LanguageCertain = c.Language, c.Language != ""
	if u := w.Understanding; u != nil {
		q.Generalist = w.Generalist || u.Outcome == usher.OutcomeAbstain
		if c.Language == "" { // not sure enough to insist, enough to prefer
			q.Language, q.LanguageProbability = u.Language.Tag, u.Language.Probability
		}
	}
	if w.History.LastAgent != "" {
		q.Last, q.LastAge = w.History.LastAgent, max(now.Sub(w.History.LastAgentAt), 0)
	}
	if qu, ok := s.policy.Queue(c.Queue); ok {
		req, _, _ := s.policy.Requirement(qu, waited(c, now))
		for _, r := range req {
			require = append(require, usher.SkillLevel{Name: s.policy.Skill(r.Name), Level: r.Level})
		}
	}
	for _, r := range w.Require {
		require = append(require, usher.SkillLevel{Name: s.policy.Skill(r.Name), Level: r.Level})
	}
	for _, r := range w.Prefer {
		prefer = append(prefer, usher.SkillLevel{Name: s.policy.Skill(r.Name), Level: r.Level})
	}
	for _, x := range w.Excluded {
		if x.Kind == exclusionForgiven {
			declined = append(declined, x.AgentID)
		} else {
			excluded = append(excluded, x.AgentID)
		}
	}
	q.Require, q.Prefer, q.Excluded, q.Declined = require, prefer, excluded, declined
	return q
}

// topCandidates is how many scored candidates a decision keeps.
const topCandidates = 5

func (s *State) selection(c *usher.Conversation) usher.Selection {
	if sel := s.policy.Tier(c.Tier).Selection; sel != "" {
		return sel
	}
	q, _ := s.policy.Queue(c.Queue)
	return q.Selection
}

// choose returns whom c is offered to now, with the reason, or "" and why nobody
// is asked: its queue is closed, nobody can, or the reserve is kept.
// s.ranking holds the ranking it was taken from.
func (s *State) choose(c *usher.Conversation, now time.Time) (agentID, reason string) {
	if s.closed(c, now) {
		s.ranking = rank.Result{}
		return "", usher.ReasonOutOfHours
	}
	id, reason := s.pick(c, now)
	if id != "" && s.reserved(c, now) {
		return "", usher.ReasonHold
	}
	return id, reason
}

// closed reports whether c waits for a queue whose hours are over. Whom a transfer
// names is asked at any hour.
func (s *State) closed(c *usher.Conversation, now time.Time) bool {
	q, ok := s.policy.Queue(c.Queue)
	if !ok || q.Hours == "" || c.Work.Target != "" {
		return false
	}
	open, _ := s.policy.Open(q.Hours, now)
	return !open
}

// pick ranks the agents for c and returns the best, with the reason, or "" and
// why nobody can be asked.
func (s *State) pick(c *usher.Conversation, now time.Time) (agentID, reason string) {
	w := &c.Work
	var by rank.Service
	first := s.policy.Tier(c.Tier).Service == usher.ServiceDedicatedFirst
	by.DedicatedFirst = first && s.agents[w.Customer.Dedicated] != nil
	for _, pin := range [...]struct{ id, by string }{{w.Pinned, firstOf(w.PinnedBy, usher.ReasonManual)}, {w.Next, w.NextBy}} {
		if s.agents[pin.id] == nil {
			continue
		}
		if by.DedicatedFirst && strings.HasPrefix(pin.by, byRule("")) { // the tier's dedicated agent goes before a rule's
			by.DedicatedFirst = false
			id := s.best(c, now, func(q *rank.Query) { q.Only, q.Require, q.Team = w.Customer.Dedicated, nil, "" })
			if id != "" {
				return id, usher.ReasonDedicated
			}
		}
		if id := s.best(c, now, func(q *rank.Query) { q.Only = pin.id }); id != "" {
			return id, pin.by
		}
		if pin.id == w.Pinned && s.waitsFor(c, now) {
			return "", usher.ReasonHold
		}
	}
	if w.Prefers != "" && w.Prefers != w.Customer.Dedicated {
		// He had this very matter: it goes back to him if he can take it.
		if id := s.best(c, now, func(q *rank.Query) { q.Only = w.Prefers }); id != "" {
			return id, usher.ReasonSticky
		}
	}
	if first && !w.SeniorOver && waited(c, now) < w.SeniorsFrom+rank.SeniorsFor {
		by.Seniors = s.wanted(c)
	}
	return s.table.Choose(s.queryFor(c, now), &s.ranking, by)
}

// waitsFor reports whether c still waits for its dedicated agent alone: a rule
// says so, he has not refused, and room is all that he lacks.
func (s *State) waitsFor(c *usher.Conversation, now time.Time) bool {
	w := &c.Work
	if waited(c, now) >= time.Duration(w.WaitForS)*time.Second ||
		slices.ContainsFunc(w.Excluded, func(x usher.Exclusion) bool { return x.AgentID == w.Pinned }) {
		return false
	}
	filter, _ := s.table.Passes(w.Pinned, s.queryFor(c, now))
	return filter == "capacity"
}

func (s *State) best(c *usher.Conversation, now time.Time, narrow func(*rank.Query)) string {
	q := s.queryFor(c, now)
	if narrow != nil {
		narrow(q)
	}
	s.table.Rank(q, &s.ranking)
	return s.ranked()
}

// ranked returns the first of the last ranking, or "".
func (s *State) ranked() string {
	if len(s.ranking.Order) == 0 {
		return ""
	}
	return s.ranking.Order[0].AgentID
}

// wanted returns the canonical skills that c's leading intent and its
// requirements ask for.
func (s *State) wanted(c *usher.Conversation) []string {
	var skills []string
	for _, r := range c.Work.Require {
		skills = append(skills, s.policy.Skill(r.Name))
	}
	if q, ok := s.policy.Queue(c.Queue); ok {
		for _, r := range q.Require {
			skills = append(skills, s.policy.Skill(r.Name))
		}
	}
	if top, _ := c.Work.Understanding.Top(); top != "" {
		if i, ok := s.labels[top]; ok {
			skills = append(skills, s.serving(i)...)
		}
	}
	return skills
}

// tryPlace asks the best agent for a queued conversation, or notes why nobody is
// asked. A decision is recorded when somebody is, or when the reason is new.
func (s *State) tryPlace(c *usher.Conversation) {
	w, now := &c.Work, s.tx.now
	id, reason := s.choose(c, now)
	if id == "" {
		if reason == usher.ReasonExcluded {
			if w.AllExcluded.IsZero() {
				w.AllExcluded = now
				s.touch(c)
			}
		} else if !w.AllExcluded.IsZero() {
			w.AllExcluded = time.Time{}
			s.touch(c)
		}
		s.waitFor(c, reason)
		if inLine(c.Routing.State) && c.Routing.Reason == reason && c.Routing.Queue == c.Queue && s.tx.trigger != "message" {
			s.overflow(c, reason)
			return
		}
		d := s.decide(c, string(usher.StateQueued), reason)
		position, wait := s.place(c, now)
		c.Routing = usher.Routing{
			State: usher.StateQueued, Reason: reason, Queue: c.Queue, Position: position, EstimatedWait: wait, DecisionID: d,
		}
		s.showInvitation(c)
		s.touch(c)
		s.overflow(c, reason)
		return
	}
	w.AllExcluded, w.HoursAt, w.HoldUntil = time.Time{}, time.Time{}, time.Time{}
	if s.policy.Document().Offers.Mode == "auto" {
		d := s.decide(c, string(usher.StateAssigned), reason)
		s.give(c, s.agents[id], "", reason, "", d)
		return
	}
	d := s.decide(c, string(usher.StateOffered), reason)
	s.offer(c, s.agents[id], reason, d)
}

// decide records a decision from the present ranking and returns its id.
func (s *State) decide(c *usher.Conversation, outcome, reason string) string {
	d := s.record(c, outcome, reason)
	d.ID, d.Step = s.id("decision"), s.tx.out.Step
	c.Work.DecisionID = d.ID
	s.tx.out.Decisions = append(s.tx.out.Decisions, d)
	s.event(usher.EventDecisionMade, c, d.Chosen, decisionData{DecisionID: d.ID, Outcome: outcome, Reason: reason})
	return d.ID
}

type decisionData struct {
	DecisionID string `json:"decision_id"`
	Outcome    string `json:"outcome"`
	Reason     string `json:"reason"`
}

// record describes the choice with the numbers that made it.
func (s *State) record(c *usher.Conversation, outcome, reason string) usher.Decision {
	w := &c.Work
	d := usher.Decision{
		ConversationID: c.ID, At: s.tx.now, Trigger: s.tx.trigger, Outcome: outcome, Reason: reason, Queue: c.Queue, Tier: c.Tier,
		Rules: w.Rules, Understanding: w.Understanding, Propensity: 1,
		Funnel: []usher.FilterCount{}, Candidates: []usher.Candidate{},
		Versions: usher.Versions{
			Model:  s.bundle.Model.Name + "@" + s.bundle.Model.Version,
			Policy: s.version.Version, Embedding: s.bundle.Embedding, Engine: s.engine,
		},
		Degraded: w.Understanding != nil && w.Understanding.Degraded,
	}
	if outcome == string(usher.StateOffered) || outcome == string(usher.StateAssigned) || outcome == string(usher.StateQueued) {
		d.Funnel, d.Candidates = s.ranking.Funnel(), s.ranking.Candidates()
		if outcome != string(usher.StateQueued) {
			d.Chosen, d.Margin, d.Counterfactual = s.ranked(), s.ranking.Margin, s.ranking.Counterfactual()
		}
	}
	if reason == usher.ReasonHold {
		d.Outcome = "hold"
	}
	return d
}

// Match is a dry run: what would become of b now? Nothing changes.
func (s *State) Match(now time.Time, b usher.Arrival) usher.Decision {
	s.tx.begin(&usher.Change{}, now)
	s.tx.trigger = "message"
	c := &usher.Conversation{
		ID: "", CustomerID: b.Customer.ID, Channel: b.Channel.ID, Status: usher.StatusQueued, Tags: []string{}, OpenedAt: now, WaitingSince: &now,
		Language: firstOf(b.Customer.Language, b.Channel.Language),
		Work: usher.Work{
			Kind: b.Channel.Kind, Units: s.policy.Cost(b.Channel.Kind), Customer: b.Customer.FactsAt(now), History: b.History,
			Hints: b.Hints, Facts: b.Facts, Textless: b.Understanding == nil, WantsHuman: b.WantsHuman,
		},
	}
	s.learn(c, &b)
	if blocked := s.evaluate(c); blocked != "" {
		d := s.record(c, string(usher.StateBlocked), blocked)
		return d
	}
	id, reason := s.choose(c, now)
	outcome := usher.StateOffered
	if id == "" {
		outcome = usher.StateQueued
	}
	d := s.record(c, string(outcome), reason)
	d.Step = s.step
	return d
}

// enqueue makes c wait in its queue; its age goes on. why tells what brought it
// there, "" when that is the ordinary way.
func (s *State) enqueue(c *usher.Conversation, why string) {
	moved := c.Status != usher.StatusQueued
	c.Status, c.AgentID, c.Work.Target, c.Work.Override = usher.StatusQueued, "", "", ""
	if c.WaitingSince == nil {
		now := s.tx.now
		c.WaitingSince = &now
	}
	if moved || c.Routing.Queue != c.Queue {
		s.fact(usher.EventConversationQueued, c, usher.ConversationData{Reason: why})
	}
	s.touch(c)
}

// ref names an agent.
func (s *State) ref(id string) *usher.AgentRef {
	if a := s.agents[id]; a != nil {
		return &usher.AgentRef{ID: id, Name: a.Name}
	}
	return nil
}

// say sends a message of usher's own to the customer.
func (s *State) say(c *usher.Conversation, text string) {
	s.send(c, usher.Message{ID: s.id("msg"), Author: usher.ByBot, Text: text}, nil)
}

// send stores an outgoing message for the channel where the customer last
// wrote, or via another; channels without a platform deliver it by the event alone.
func (s *State) send(c *usher.Conversation, m usher.Message, via *usher.Channel) *usher.Message {
	now, channel, kind := s.tx.now, c.Channel, c.Work.Kind
	if via != nil {
		channel, kind = via.ID, via.Kind
	}
	c.Work.Messages++
	m.ConversationID, m.CustomerID, m.Channel, m.Sequence = c.ID, c.CustomerID, channel, c.Work.Messages
	m.ReceivedAt = now
	if m.SentAt.IsZero() {
		m.SentAt = now
	}
	if m.Attachments == nil {
		m.Attachments = []usher.Attachment{}
	}
	m.Delivery = usher.Delivery{State: "accepted", At: now}
	if !kind.AbandonsBySilence() {
		m.Delivery.State = "queued"
		s.tx.out.Outbox = append(s.tx.out.Outbox, usher.Outbound{ID: m.ID, ConversationID: c.ID, Channel: channel, State: "queued", NextAt: now})
	}
	s.tx.out.Messages = append(s.tx.out.Messages, m)
	e := usher.Event{
		Step: s.tx.out.Step, N: len(s.tx.out.Events), Type: usher.EventMessageSent, At: now,
		ConversationID: c.ID, CustomerID: c.CustomerID, AgentID: firstOf(m.AgentID, c.AgentID), MessageID: m.ID,
		Data: messageData{Sequence: m.Sequence, Channel: m.Channel, Kind: kind, Author: m.Author},
	}
	s.tx.out.Events = append(s.tx.out.Events, e)
	return &m
}
