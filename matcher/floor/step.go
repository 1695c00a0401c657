package floor

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"usher"
)

// change gathers what one Step touches.
type change struct {
	out     *usher.Change
	now     time.Time
	ids     int
	trigger string
	convs   map[string]bool
	agents  map[string]bool // rows of agents
	states  map[string]bool
	queues  map[string]bool
	offers  map[string]usher.Offer
	assigns map[string]usher.Assignment
	retry   []string // conversations to place, re-evaluated
	freed   map[string]bool
	moved   map[string]bool // queues somebody joined or left
}

// begin empties t for the next step; its memory is used again.
func (t *change) begin(out *usher.Change, now time.Time) {
	if t.convs == nil {
		t.convs, t.agents, t.states, t.queues = map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
		t.offers, t.assigns = map[string]usher.Offer{}, map[string]usher.Assignment{}
		t.freed, t.moved = map[string]bool{}, map[string]bool{}
	}
	clear(t.convs)
	clear(t.agents)
	clear(t.states)
	clear(t.queues)
	clear(t.offers)
	clear(t.assigns)
	clear(t.freed)
	clear(t.moved)
	t.out, t.now, t.ids, t.trigger, t.retry = out, now, 0, "timer", t.retry[:0]
}

// sorted returns the keys of m in order; most steps touch one.
func sorted[V any](m map[string]V) []string {
	switch len(m) {
	case 0:
		return nil
	case 1:
		for k := range m {
			return []string{k}
		}
	}
	return slices.Sorted(maps.Keys(m))
}

// Step fires every timer that is due at now, in (deadline, id) order, then
// applies the input, and writes all that was decided to out. The caller has set
// out.Step to one more than the last stored step; the step counts as taken only
// when out.Changed. A refusal is out.Result.Err and changes nothing but what
// timers did. now never runs backwards: an earlier one is read as the last.
func (s *State) Step(now time.Time, in usher.Input, out *usher.Change) {
	if now.Before(s.now) {
		now = s.now
	}
	out.Now, out.Input = now, in
	s.tx.begin(out, now)
	if t, ok := in.Body.(usher.Tick); ok && t.Recovery {
		s.tx.trigger = "recovery"
		s.recover()
	}
	s.fire()
	s.settle()
	if err := s.apply(in); err != nil {
		out.Result = usher.Result{Err: err}
	} else {
		s.settle()
	}
	for _, q := range sorted(s.tx.moved) {
		s.tellPlaces(q)
	}
	s.collect()
	if out.Changed() {
		s.step, s.now = out.Step, now
	}
}

// apply dispatches one input. Every branch checks before it changes: an error
// means that nothing was touched.
func (s *State) apply(in usher.Input) *usher.Error {
	switch b := in.Body.(type) {
	case usher.Arrival:
		s.tx.trigger = "message"
		return s.arrival(&b)
	case usher.Reply:
		return s.reply(b)
	case usher.Accept:
		s.tx.trigger = "agent"
		return s.accept(b)
	case usher.Decline:
		s.tx.trigger = "agent"
		return s.decline(b)
	case usher.PresenceSet:
		s.tx.trigger = "agent"
		return s.setPresence(b)
	case usher.PresenceLapsed:
		s.tx.trigger = "agent"
		return s.lapse(b)
	case usher.AgentPut:
		s.tx.trigger = "agent"
		return s.putAgent(b)
	case usher.AgentRemove:
		s.tx.trigger = "agent"
		return s.removeAgent(b)
	case usher.CustomerPut:
		s.tx.trigger = "policy"
		return s.putCustomer(b)
	case usher.PeopleSet:
		s.tx.trigger = "policy"
		return s.setPeople(b)
	case usher.PolicyPublish:
		s.tx.trigger = "policy"
		return s.publish(b)
	case usher.AliasMove:
		s.tx.trigger = "model"
		return s.moveAlias(b)
	case usher.Assign:
		s.tx.trigger = "manual"
		return s.assign(b, in.By)
	case usher.Transfer:
		s.tx.trigger = "manual"
		return s.transfer(b, in.By)
	case usher.Close:
		s.tx.trigger = "manual"
		return s.close(b)
	case usher.Reopen:
		s.tx.trigger = "manual"
		return s.reopen(b)
	case usher.Left:
		return s.left(b)
	case usher.Complete:
		s.tx.trigger = "manual"
		return s.complete(b)
	case usher.Prioritise:
		s.tx.trigger = "manual"
		return s.prioritise(b)
	case usher.Amend:
		s.tx.trigger = "manual"
		return s.amend(b)
	case usher.OutcomeSet:
		return s.outcome(b)
	case usher.Receipt:
		return s.receipt(b)
	case usher.Redeem:
		s.tx.trigger = "message"
		return s.redeem(b)
	case usher.Tick:
		return nil
	default:
		return usher.Errorf(usher.Internal, "no rule for input %T", b)
	}
}

// id makes the next id of this step.
func (s *State) id(kind string) string {
	s.tx.ids++
	return fmt.Sprintf("%s_%d_%d", kind, s.tx.out.Step, s.tx.ids)
}

// event appends a fact about c (which may be nil).
func (s *State) event(kind string, c *usher.Conversation, agentID string, data any) {
	e := usher.Event{Step: s.tx.out.Step, N: len(s.tx.out.Events), Type: kind, At: s.tx.now, AgentID: agentID, Data: data}
	if c != nil {
		e.ConversationID, e.CustomerID = c.ID, c.CustomerID
		if agentID == "" {
			e.AgentID = c.AgentID
		}
	}
	s.tx.out.Events = append(s.tx.out.Events, e)
}

// fact appends a conversation's event with the conversation as it stands; d
// adds what only this event knows.
func (s *State) fact(kind string, c *usher.Conversation, d usher.ConversationData) {
	w := &c.Work
	d.Channel, d.Kind, d.Tier, d.Intent, d.Language = c.Channel, w.Kind, firstOf(c.Tier, w.Customer.Tier), c.Intent, c.Language
	d.Queue, d.Status, d.Units, d.Relaxed = c.Queue, c.Status, w.Units, w.Relaxed
	d.WaitedMS = waited(c, s.tx.now).Milliseconds()
	if q, ok := s.policy.Queue(c.Queue); ok {
		d.TargetS = q.TargetS
	}
	if w.Assignment != nil {
		d.Assignment = w.Assignment.ID
	}
	s.event(kind, c, "", d)
}

// touch marks c as changed and files its next deadline.
func (s *State) touch(c *usher.Conversation) {
	if !s.tx.convs[c.ID] {
		s.tx.convs[c.ID] = true
		c.Version++
	}
	if _, was := s.waiting[c.ID]; was != (c.Status == usher.StatusQueued) {
		s.tx.moved[c.Queue] = true
	}
	if c.Status == usher.StatusQueued {
		s.waiting[c.ID] = c
	} else {
		delete(s.waiting, c.ID)
	}
	s.due.set(c.ID, s.deadline(c))
}

// touchState marks an agent's state as changed and tells the ranking table.
func (s *State) touchState(a *agent) {
	s.tx.states[a.ID] = true
	s.table.SetLoad(a.ID, s.load(a))
}

// collect moves what was touched into the change, in the order of ids, and
// forgets conversations that are over.
func (s *State) collect() {
	out := s.tx.out
	s.tellQuiet()
	for _, id := range sorted(s.tx.convs) {
		c := s.convs[id]
		out.Conversations = append(out.Conversations, *c)
		if c.Status == usher.StatusClosed {
			delete(s.convs, id)
			s.due.set(id, time.Time{})
		}
	}
	for _, id := range sorted(s.tx.offers) {
		out.Offers = append(out.Offers, s.tx.offers[id])
	}
	for _, id := range sorted(s.tx.assigns) {
		out.Assignments = append(out.Assignments, s.tx.assigns[id])
	}
	for _, id := range sorted(s.tx.agents) {
		if a := s.agents[id]; a != nil {
			out.Agents = append(out.Agents, a.Agent)
		} else {
			out.AgentsRemoved = append(out.AgentsRemoved, id)
		}
	}
	for _, id := range sorted(s.tx.states) {
		if a := s.agents[id]; a != nil {
			out.States = append(out.States, a.state)
		}
	}
	for _, id := range sorted(s.tx.queues) {
		q := *s.queues[id]
		q.HandleS = slices.Clone(q.HandleS)
		out.Queues = append(out.Queues, q)
	}
	// The answer leaves this goroutine: it must not share the living row.
	if c := out.Result.Conversation; c != nil {
		answered := *c
		out.Result.Conversation = &answered
	}
}

// tellQuiet makes an event of what changed without one: a change without events
// would not be stored.
func (s *State) tellQuiet() {
	if len(s.tx.out.Events) > 0 {
		return
	}
	for _, id := range sorted(s.tx.convs) {
		s.fact(usher.EventConversationUpdated, s.convs[id], usher.ConversationData{})
	}
	for _, id := range sorted(s.tx.states) {
		s.event(usher.EventAgentUpdated, nil, id, nil)
	}
}

// settle finds agents for those whose situation changed: first re-evaluated
// conversations in queue order, then whatever the freed agents can take.
func (s *State) settle() {
	for len(s.tx.retry) > 0 || len(s.tx.freed) > 0 {
		retry := slices.Clone(s.tx.retry)
		s.tx.retry = s.tx.retry[:0]
		slices.SortFunc(retry, func(a, b string) int {
			return s.before(s.convs[a], s.convs[b], s.tx.now)
		})
		for _, id := range slices.Compact(retry) {
			if c := s.convs[id]; c.Status == usher.StatusQueued {
				s.tryPlace(c)
			}
		}
		freed := sorted(s.tx.freed)
		clear(s.tx.freed)
		if len(freed) > 0 && s.policy.Reserve().Units > 0 {
			s.retryHeld() // whoever frees a unit, the reserve is of all
		}
		for _, id := range freed {
			s.feed(id)
		}
	}
}

// retryHeld asks for those again who wait because of the reserve alone.
func (s *State) retryHeld() {
	for _, id := range sorted(s.waiting) {
		if c := s.waiting[id]; c.Routing.Reason == usher.ReasonHold {
			s.retryLater(c)
		}
	}
}

// Places are told to the first of a queue, and only while the queue is short
// enough for a place to mean something.
const (
	placesTold   = 10
	placesCounts = 200
)

// tellPlaces tells the first in a queue where they now stand.
func (s *State) tellPlaces(queue string) {
	var line []*usher.Conversation
	for _, c := range s.waiting {
		if c.Queue == queue {
			line = append(line, c)
		}
	}
	if len(line) > placesCounts {
		return
	}
	slices.SortFunc(line, func(a, b *usher.Conversation) int { return s.before(a, b, s.tx.now) })
	for i, c := range line[:min(len(line), placesTold)] {
		if !inLine(c.Routing.State) || c.Routing.Position == i+1 {
			continue
		}
		c.Routing.Position = i + 1
		s.event(usher.EventPositionChanged, c, "", placeData{Position: i + 1})
		s.touch(c)
	}
}

// inLine reports whether st is shown of a conversation that waits in a queue.
func inLine(st usher.RoutingState) bool { return st == usher.StateQueued || st == usher.StateOverflow }

type placeData struct {
	Position int `json:"position"`
}

// feed offers waiting work to one freed agent, best first, until he has no room
// or nothing fits. Whom he may not be asked for again is tried too: the time after
// which a refusal is forgiven runs from when it is all that stands in the way.
// Queues that are closed are not looked into: their hours are.
func (s *State) feed(agentID string) {
	a := s.agents[agentID]
	if a == nil || a.state.Presence != usher.PresenceOnline {
		return
	}
	unfit := func(c *usher.Conversation) bool {
		if c.Status != usher.StatusQueued {
			return true
		}
		filter, ok := s.table.Passes(agentID, s.queryFor(c, s.tx.now))
		return !ok && filter != "excluded"
	}
	order := func(a, b *usher.Conversation) int { return s.before(a, b, s.tx.now) }
	var line []*usher.Conversation
	for _, c := range s.waiting {
		if !s.closed(c, s.tx.now) && !unfit(c) {
			line = append(line, c)
		}
	}
	if len(line) == 0 {
		return
	}
	first := slices.MinFunc(line, order)
	s.tryPlace(first) // mostly it fills him, and the others need no order
	line = slices.DeleteFunc(line, func(c *usher.Conversation) bool { return c == first || unfit(c) })
	slices.SortFunc(line, order)
	for _, c := range line {
		if !unfit(c) {
			s.tryPlace(c)
		}
	}
}

// retryLater asks settle to place c again.
func (s *State) retryLater(c *usher.Conversation) { s.tx.retry = append(s.tx.retry, c.ID) }
