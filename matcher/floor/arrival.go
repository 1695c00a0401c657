package floor

import (
	"slices"
	"time"

	"usher"
)

// stale tells intake to look again: what it saw is no longer so.
func stale(why string) *usher.Error {
	return usher.Errorf(usher.Conflict, "%s", why).At("arrival")
}

func (s *State) arrival(b *usher.Arrival) *usher.Error {
	if b.Facts.Version != s.version.Version {
		return stale("the policy changed while the message was read")
	}
	if err := s.knownHints(b.Hints); err != nil {
		return err
	}
	var c *usher.Conversation
	if b.ConversationID != "" {
		c = s.convs[b.ConversationID]
		if c == nil || c.Status == usher.StatusClosed {
			return stale("the conversation closed while the message was read")
		}
		if c.CustomerID != b.Customer.ID {
			return usher.Errorf(usher.Unprocessable, "the conversation belongs to another customer").At("conversation_id")
		}
	}
	if b.Closed != nil && s.convs[b.Closed.ID] != nil {
		return stale("the conversation came back while the message was read")
	}
	if b.NewCustomer {
		s.tx.out.Customers = append(s.tx.out.Customers, b.Customer)
	}
	reopened := false
	if c == nil {
		c, reopened = s.open(b)
	}
	m := s.receive(c, b)
	s.learn(c, b)
	switch c.Status {
	case usher.StatusAssigned:
		s.deliver(c)
	case usher.StatusWrapping:
		c.Status, c.CloseReason, c.Work.WrapUntil = usher.StatusAssigned, "", time.Time{}
		s.fact(usher.EventConversationAssigned, c, usher.ConversationData{Reason: c.Routing.Reason})
		s.deliver(c)
	case usher.StatusOffered:
		s.refresh(c)
	default:
		if reopened {
			s.fact(usher.EventConversationReopened, c, usher.ConversationData{})
		}
		s.reroute(c, b, reopened)
	}
	s.touch(c)
	s.settle()
	s.helpMeanwhile(c, b)
	m.DecisionID = c.Work.DecisionID
	s.tx.out.Messages = append([]usher.Message{m}, s.tx.out.Messages...)
	r, _ := s.Routing(c.ID, s.tx.now)
	s.tx.out.Result = usher.Result{Routing: r, Conversation: c, Message: &m}
	return nil
}

// knownHints refuses hints that name what does not exist.
func (s *State) knownHints(h usher.Hints) *usher.Error {
	if _, ok := s.policy.Queue(h.Queue); !ok && h.Queue != "" {
		return usher.Errorf(usher.NotFound, "no such queue").At("hints.queue")
	}
	if h.AgentID != "" && s.agents[h.AgentID] == nil {
		return usher.Errorf(usher.NotFound, "no such agent").At("hints.agent_id")
	}
	return nil
}

// open begins a conversation, or brings back the closed one that b carries.
func (s *State) open(b *usher.Arrival) (c *usher.Conversation, reopened bool) {
	now := s.tx.now
	if cl := b.Closed; cl != nil && cl.Status == usher.StatusClosed && cl.ClosedAt != nil &&
		now.Sub(*cl.ClosedAt) <= time.Duration(s.policy.Document().Conversation.ReopenS)*time.Second && cl.CloseReason != "spam" {
		old := *cl
		s.revive(&old)
		return &old, true
	}
	previous := b.PreviousID
	if previous == "" && b.Closed != nil {
		previous = b.Closed.ID
	}
	c = &usher.Conversation{
		ID: s.id("conv"), CustomerID: b.Customer.ID, Channel: b.Channel.ID, Status: usher.StatusOpen,
		Tags: []string{}, OpenedAt: now, WaitingSince: &now, PreviousID: previous,
		Work: usher.Work{
			Kind: b.Channel.Kind, Units: s.policy.Cost(b.Channel.Kind), Since: now, Rules: []usher.RuleHit{},
			Require: []usher.SkillLevel{}, Prefer: []usher.SkillLevel{}, Excluded: []usher.Exclusion{},
		},
	}
	c.Language = firstOf(b.Customer.Language, b.Channel.Language)
	s.convs[c.ID] = c
	c.Work.Customer = b.Customer.FactsAt(now)
	s.fact(usher.EventConversationOpened, c, usher.ConversationData{})
	return c, false
}

// revive brings a closed conversation back: it waits again, with its age, and
// prefers whom it knew.
func (s *State) revive(c *usher.Conversation) {
	now, w := s.tx.now, &c.Work
	c.Status, c.CloseReason, c.ClosedAt, c.AssignedAt, c.WaitingSince = usher.StatusOpen, "", nil, nil, &now
	w.Prefers, c.AgentID = firstOf(c.AgentID, w.Prefers), ""
	w.Reopened++
	w.Since, w.LastMessageAt = now, now // silence counts from here, whoever brought it back
	s.newCycle(c)
	w.Bot, w.BotWhy, w.Found, w.ToQueue, w.Invitation, w.Overflowed, w.Promised = nil, "", nil, "", nil, nil, false
	w.Asked, w.Generalist, w.WantsHuman, w.Understanding, w.Vector = false, false, false, nil, nil
	w.Warned, w.NoReply, w.Replied = false, false, false
	s.convs[c.ID] = c
}

// newCycle forgets who was asked in the last cycle of offers; seniors have their
// time again.
func (s *State) newCycle(c *usher.Conversation) {
	w := &c.Work
	w.Excluded, w.AllExcluded, w.Offers, w.MaxOffers, w.Target, w.Override = []usher.Exclusion{}, time.Time{}, 0, false, "", ""
	w.OfferID, w.Assignment, w.RequeueAt, w.WrapUntil = "", nil, time.Time{}, time.Time{}
	w.SeniorOver, w.SeniorsFrom = false, waited(c, s.tx.now)
}

// receive stores the message and what came with it.
func (s *State) receive(c *usher.Conversation, b *usher.Arrival) usher.Message {
	now, w := s.tx.now, &c.Work
	s.moveTo(c, b.Channel, false)
	w.Messages++
	m := b.Message
	m.ConversationID, m.CustomerID, m.Sequence, m.Author = c.ID, c.CustomerID, w.Messages, usher.ByCustomer
	m.ReceivedAt, m.Delivery = now, usher.Delivery{State: "received", At: now}
	if m.Attachments == nil {
		m.Attachments = []usher.Attachment{}
	}
	w.LastMessageAt, w.Warned = now, false
	w.Customer = b.Customer.FactsAt(now)
	w.History = b.History
	w.Facts = b.Facts
	w.Attachments = w.Attachments || len(b.Message.Attachments) > 0
	if b.Hints.Queue != "" || b.Hints.AgentID != "" || len(b.Hints.Skills) > 0 {
		w.Hints = b.Hints
	}
	e := usher.Event{
		Step: s.tx.out.Step, N: len(s.tx.out.Events), Type: usher.EventMessageReceived, At: now,
		ConversationID: c.ID, CustomerID: c.CustomerID, AgentID: c.AgentID, MessageID: m.ID,
		Data: messageData{Sequence: m.Sequence, Channel: m.Channel, Kind: b.Channel.Kind, Author: m.Author},
	}
	s.tx.out.Events = append(s.tx.out.Events, e)
	if u := m.Understanding; u != nil {
		e.N, e.Type = len(s.tx.out.Events), usher.EventUnderstandingMade
		e.Data = understandingData{Outcome: u.Outcome, Intent: top(u), Language: u.Language.Tag, Degraded: u.Degraded}
		s.tx.out.Events = append(s.tx.out.Events, e)
	}
	if len(b.Conflict) > 0 {
		s.event(usher.EventIdentityConflict, c, "", conflictData{b.Conflict})
	}
	return m
}

type messageData struct {
	Sequence int               `json:"sequence"`
	Channel  string            `json:"channel"`
	Kind     usher.ChannelKind `json:"kind"`
	Author   usher.Author      `json:"author"`
}

// understandingData is in brief what a message was understood as; the message
// has all of it.
type understandingData struct {
	Outcome  usher.Outcome `json:"outcome"`
	Intent   string        `json:"intent,omitempty"` // the likeliest
	Language string        `json:"language,omitempty"`
	Degraded bool          `json:"degraded,omitempty"`
}

func top(u *usher.Understanding) string {
	label, _ := u.Top()
	return label
}

type conflictData struct {
	Customers []string `json:"customers"`
}

// learn takes over what was understood. A choice is certain; glue changes nothing.
func (s *State) learn(c *usher.Conversation, b *usher.Arrival) {
	w := &c.Work
	w.WantsHuman = w.WantsHuman || b.WantsHuman || b.Message.Choice == choiceHuman
	if b.Found != nil && !b.Glue {
		w.Found = b.Found
	}
	before, _ := w.Understanding.Top()
	wasAccepted := w.Understanding != nil && w.Understanding.Outcome == usher.OutcomeAccept
	switch u := b.Understanding; {
	case b.Message.Choice != "" && s.knows(b.Message.Choice):
		w.Understanding = s.chosen(b.Message.Choice, u, w.Understanding)
	case b.Glue && w.Understanding != nil:
	case u != nil:
		w.Understanding, w.Vector, w.Textless = u, b.Vector, false
		w.Greeting = b.Greeting || b.Glue
	default: // a picture, say: not understood, and no greeting
		w.Textless, w.Greeting = w.Understanding == nil, false
	}
	if u := w.Understanding; u != nil {
		if u.Language.Probability >= languageSure && u.Language.Tag != "" {
			c.Language = u.Language.Tag
		}
		after, _ := u.Top()
		if u.Outcome == usher.OutcomeAccept {
			c.Intent = after
			if wasAccepted && before != after && before != "" {
				s.event(usher.EventConversationIntent, c, "", intentData{before, after})
			}
		}
	}
}

type intentData struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// languageSure is the probability from which a language is a hard filter.
const languageSure = 0.8

func (s *State) knows(label string) bool {
	_, ok := s.labels[label]
	return ok
}

// chosen is what a customer's own choice makes of the understanding.
func (s *State) chosen(label string, of ...*usher.Understanding) *usher.Understanding {
	u := usher.Understanding{Model: s.bundle.Model}
	for _, o := range of {
		if o != nil {
			u = *o
		}
	}
	u.Intents = []usher.IntentP{{Label: label, Probability: 1}}
	u.Outcome, u.Margin, u.OutOfScope, u.Source = usher.OutcomeAccept, 1, 0, "customer"
	return &u
}

// deliver is a message to a conversation that has its agent.
func (s *State) deliver(c *usher.Conversation) {
	c.Routing = usher.Routing{
		State: usher.StateDelivered, Reason: c.Routing.Reason, Queue: c.Queue, Agent: s.ref(c.AgentID), DecisionID: c.Work.DecisionID,
	}
}

// refresh is a message to a conversation that is being offered: the offer
// stands unless its agent now fails a hard filter.
func (s *State) refresh(c *usher.Conversation) {
	o := s.offers[c.Work.OfferID]
	if why := s.evaluate(c); why != "" {
		s.endOffer(c, o, usher.OfferWithdrawn, "blocked")
		c.AgentID = ""
		s.block(c, why)
		return
	}
	q := s.queryFor(c, s.tx.now)
	q.Units = 0 // his units are reserved already
	if filter, ok := s.table.Passes(c.AgentID, q); !ok && filter != "capacity" && c.Work.Target == "" {
		s.endOffer(c, o, usher.OfferWithdrawn, filter)
		s.requeue(c)
		return
	}
	s.event(usher.EventOfferUpdated, c, c.AgentID, offerData{OfferID: o.ID, ExpiresAt: &o.ExpiresAt})
}

// reroute decides what becomes of a conversation that has no agent. A reopened
// one goes back to its queue, and to whom it knew, unasked.
func (s *State) reroute(c *usher.Conversation, b *usher.Arrival, reopened bool) {
	w := &c.Work
	botHasIt := w.Bot != nil && !w.Bot.Done && !w.Bot.Helping
	if c.Status == usher.StatusOpen && b.Glue && !botHasIt && !w.AnswerBy.IsZero() && !w.Greeting && !w.WantsHuman {
		return // 'ok' answers no question
	}
	answering := c.Status == usher.StatusOpen && w.Asked && !w.AnswerBy.IsZero() && !botHasIt
	if block := s.evaluate(c); block != "" {
		s.block(c, block)
		return
	}
	why := ""
	if c.Status != usher.StatusQueued && !reopened && s.botTakes(c, b) {
		if why = s.botTurn(c, b); why == "" {
			return
		}
	}
	if botHasIt && !w.Bot.Done { // tier, rules or he himself want a person now
		w.Bot = w.Bot.Over()
	}
	if !actionable(s, w.Understanding) && (w.WantsHuman || answering) {
		w.Generalist = true
	}
	w.AnswerBy, w.Choices = time.Time{}, nil
	if c.Status != usher.StatusQueued && !w.Generalist && !reopened {
		if w.Greeting && !w.WantsHuman && !w.Textless && w.Kind != usher.KindEmail {
			s.greet(c)
			return
		}
		if choices := s.question(c); choices != nil {
			s.ask(c, choices)
			return
		}
	}
	if u := w.Understanding; u == nil || u.Outcome != usher.OutcomeAccept {
		// Not sure means not sure: rules and the whole distribution go on.
		w.Generalist = w.Generalist || answering
	}
	s.evaluate(c)
	if w.WantsHuman {
		why = usher.ReasonHuman
	}
	s.enqueue(c, why)
	s.retryLater(c)
}

// actionable reports whether u is accepted and names work somebody does.
func actionable(s *State, u *usher.Understanding) bool {
	if u == nil || u.Outcome != usher.OutcomeAccept {
		return false
	}
	top, _ := u.Top()
	i, ok := s.labels[top]
	return ok && s.bundle.Labels[i].Actionable
}

// block refuses the customer. Should it be lifted, he waits with his age.
func (s *State) block(c *usher.Conversation, reason string) {
	c.Work.Waited = waited(c, s.tx.now)
	c.Status, c.WaitingSince = usher.StatusBlocked, nil
	c.Work.AnswerBy = time.Time{}
	d := s.decide(c, "blocked", reason)
	c.Routing = usher.Routing{State: usher.StateBlocked, Reason: reason, DecisionID: d}
	s.fact(usher.EventConversationBlocked, c, usher.ConversationData{Reason: reason})
	s.touch(c)
}

// greet answers a bare greeting; it does not use up the one question.
func (s *State) greet(c *usher.Conversation) {
	c.Status = usher.StatusOpen
	c.Work.AnswerBy = s.tx.now.Add(greetingFor)
	text := say(c.Language, saidGreeting)
	d := s.decide(c, string(usher.StateClarifying), usher.ReasonGreeting)
	c.Routing = usher.Routing{State: usher.StateClarifying, Reason: usher.ReasonGreeting, Queue: c.Queue, Reply: text, DecisionID: d}
	s.fact(usher.EventConversationClarifying, c, usher.ConversationData{Reason: usher.ReasonGreeting})
	s.say(c, text)
	s.touch(c)
}

// ask puts the one question.
func (s *State) ask(c *usher.Conversation, choices []usher.Choice) {
	w := &c.Work
	c.Status, w.Asked, w.Choices = usher.StatusOpen, true, nil
	for _, ch := range choices {
		w.Choices = append(w.Choices, ch.ID)
	}
	w.AnswerBy = s.tx.now.Add(time.Duration(s.policy.Document().Clarify.AnswerWithinS) * time.Second)
	text := say(c.Language, saidQuestion)
	d := s.decide(c, string(usher.StateClarifying), usher.ReasonUnsure)
	c.Routing = usher.Routing{
		State: usher.StateClarifying, Reason: usher.ReasonUnsure, Queue: c.Queue, Reply: text, Choices: choices, DecisionID: d,
	}
	s.fact(usher.EventConversationClarifying, c, usher.ConversationData{Reason: usher.ReasonUnsure})
	s.send(c, usher.Message{ID: s.id("msg"), Author: usher.ByBot, Text: text, Choices: choices}, nil)
	s.touch(c)
}

// unanswered ends a question or greeting that got no answer.
func (s *State) unanswered(c *usher.Conversation) {
	c.Work.Generalist, c.Work.AnswerBy, c.Work.Choices = true, time.Time{}, nil
	if block := s.evaluate(c); block != "" {
		s.block(c, block)
		return
	}
	s.enqueue(c, "")
	s.retryLater(c)
}

// question returns the two or three choices worth asking about, or nil. It never
// asks what would not change the way, nor a customer whose own agent is free.
func (s *State) question(c *usher.Conversation) []usher.Choice {
	w := &c.Work
	u := w.Understanding
	if u == nil || u.Outcome != usher.OutcomeClarify || w.Asked || w.WantsHuman || w.Textless || w.Kind == usher.KindEmail {
		return nil
	}
	if d := w.Customer.Dedicated; d != "" && s.agents[d] != nil {
		q := s.queryFor(c, s.tx.now)
		if _, ok := s.table.Passes(d, q); ok {
			return nil
		}
	}
	var labels []string
	for _, p := range u.Intents {
		if i, ok := s.labels[p.Label]; ok && s.bundle.Labels[i].Actionable && p.Probability >= worthAsking && len(labels) < 3 {
			labels = append(labels, p.Label)
		}
	}
	if len(labels) < 2 || s.sameWay(c, labels) {
		return nil
	}
	choices := make([]usher.Choice, len(labels))
	for i, l := range labels {
		title := titleIn(s.bundle.Labels[s.labels[l]], c.Language)
		choices[i] = usher.Choice{ID: l, Label: title, Text: title}
	}
	return choices
}

// worthAsking is the least probability of an intent that is offered as a choice.
const worthAsking = 0.1

// sameWay reports whether every one of labels leads to the same queue, the same
// requirements and the same skills.
func (s *State) sameWay(c *usher.Conversation, labels []string) bool {
	type way struct {
		queue, team, agent string
		require            []usher.SkillLevel
		skills             []string
	}
	var first way
	for i, l := range labels {
		probe := *c
		probe.Work.Understanding = s.chosen(l, c.Work.Understanding)
		e := s.policy.Evaluate(s.facts(&probe))
		w := way{
			queue: e.Queue, team: e.Team, agent: e.Agent, require: slices.Concat(e.Require, e.Prefer),
			skills: s.serving(s.labels[l]),
		}
		if i == 0 {
			first = w
			continue
		}
		if w.queue != first.queue || w.team != first.team || w.agent != first.agent ||
			!slices.Equal(w.require, first.require) || !slices.Equal(w.skills, first.skills) {
			return false
		}
	}
	return true
}

func titleIn(l usher.Label, language string) string {
	lang := usher.Language(language)
	if t := l.Title[lang]; t != "" {
		return t
	}
	return firstOf(l.Title["en"], l.Title["zh"], l.Label)
}

func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
