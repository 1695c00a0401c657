package floor

import (
	"maps"
	"slices"
	"time"

	"usher"
)

type presenceData struct {
	From   usher.Presence `json:"from"`
	To     usher.Presence `json:"to"`
	Reason string         `json:"reason,omitempty"`

	Units              int `json:"units"`
	InterruptibleUnits int `json:"interruptible_units"`
}

func (s *State) setPresence(b usher.PresenceSet) *usher.Error {
	a := s.agents[b.AgentID]
	if a == nil {
		return usher.Errorf(usher.NotFound, "no such agent").At("agent_id")
	}
	if b.Presence != "" && !b.Presence.Valid() {
		return usher.Errorf(usher.InvalidArgument, "one of online, busy, away, break, offline").At("presence")
	}
	if b.Beats && !a.state.Beats && a.state.Presence != usher.PresenceOffline {
		a.state.Beats = true
		s.event(usher.EventAgentUpdated, nil, a.ID, beatsData{true})
		s.touchState(a)
	}
	if b.Presence == "" || b.Presence == a.state.Presence {
		return nil
	}
	a.state.Misses = 0
	s.move(a, b.Presence, "")
	return nil
}

type beatsData struct {
	Beats bool `json:"beats"`
}

// move changes a presence and what hangs on it: leaving online withdraws offers,
// coming online forgives missed ones and brings waiting work.
func (s *State) move(a *agent, to usher.Presence, reason string) {
	from := a.state.Presence
	a.state.Presence, a.state.PresenceReason, a.state.PresenceSince = to, reason, s.tx.now
	if to == usher.PresenceOffline {
		a.state.Beats = false
	}
	s.event(usher.EventAgentPresence, nil, a.ID, presenceData{from, to, reason, a.Capacity.Units, a.Capacity.InterruptibleUnits})
	s.touchState(a)
	if from == usher.PresenceOnline {
		for _, id := range slices.Sorted(maps.Keys(s.offers)) {
			if o := s.offers[id]; o.AgentID == a.ID {
				c := s.convs[o.ConversationID]
				s.endOffer(c, o, usher.OfferWithdrawn, "the agent left")
				s.requeue(c)
			}
		}
	}
	if from == usher.PresenceOnline {
		s.retryHeld() // whom nobody but he was to serve
	}
	if to == usher.PresenceOffline {
		s.gone(a)
	} else {
		s.back(a)
	}
	if to != usher.PresenceOnline {
		return
	}
	if a.state.Alarm != nil {
		s.event(usher.EventAlarmCleared, nil, a.ID, *a.state.Alarm)
		a.state.Alarm = nil
	}
	for _, id := range slices.Sorted(maps.Keys(s.convs)) {
		c := s.convs[id]
		forgiven := without(c.Work.Excluded, exclusionExpired)
		for _, x := range c.Work.Excluded {
			if x.Kind == exclusionExpired && x.AgentID != a.ID {
				forgiven = append(forgiven, x)
			}
		}
		if len(forgiven) != len(c.Work.Excluded) {
			c.Work.Excluded = forgiven
			s.touch(c)
		}
	}
	s.tx.freed[a.ID] = true
}

// gone lets the live chats of an agent who is offline, by choice or lost, go back
// to their queue unless he returns in time.
func (s *State) gone(a *agent) {
	a.state.LostAt = s.tx.now
	wait := time.Duration(s.policy.Document().Conversation.AgentLostS) * time.Second
	for _, id := range slices.Sorted(maps.Keys(s.convs)) {
		if c := s.convs[id]; workedOn(c) && c.AgentID == a.ID && !c.Seat().Kind.Interruptible() {
			c.Work.RequeueAt = s.tx.now.Add(wait)
			s.touch(c)
		}
	}
}

// back lets an agent who was gone keep what would have been taken from him.
func (s *State) back(a *agent) {
	if a.state.LostAt.IsZero() {
		return
	}
	a.state.LostAt = time.Time{}
	for _, id := range slices.Sorted(maps.Keys(s.convs)) {
		if c := s.convs[id]; workedOn(c) && c.AgentID == a.ID && !c.Work.RequeueAt.IsZero() {
			c.Work.RequeueAt = time.Time{}
			s.touch(c)
		}
	}
}

// workedOn reports whether c has its agent. What is being written up counts: a
// message of the customer brings it back to him.
func workedOn(c *usher.Conversation) bool {
	return c.Status == usher.StatusAssigned || c.Status == usher.StatusWrapping
}

func (s *State) lapse(b usher.PresenceLapsed) *usher.Error {
	a := s.agents[b.AgentID]
	if a == nil {
		return usher.Errorf(usher.NotFound, "no such agent").At("agent_id")
	}
	if !a.state.Beats || a.state.Presence == usher.PresenceOffline {
		return nil
	}
	s.move(a, usher.PresenceOffline, "lost")
	return nil
}

func (s *State) putAgent(b usher.AgentPut) *usher.Error {
	a := s.agents[b.Agent.ID]
	was := 0
	if a != nil {
		was = a.Version
	}
	if b.Agent.Version != was {
		return usher.Errorf(usher.Stale, "the agent is at version %d", was)
	}
	if a == nil {
		a = &agent{
			state: usher.AgentState{AgentID: b.Agent.ID, Presence: usher.PresenceOffline, PresenceSince: s.tx.now, IdleSince: s.tx.now},
			open:  map[string]int{},
		}
		s.agents[b.Agent.ID] = a
	}
	capacity := a.Capacity
	a.Agent = b.Agent
	a.Version = was + 1
	s.tx.agents[a.ID], s.tx.states[a.ID] = true, true
	s.event(usher.EventAgentUpdated, nil, a.ID, versionData{a.Version})
	if capacity.Units != a.Capacity.Units || capacity.InterruptibleUnits != a.Capacity.InterruptibleUnits {
		s.event(usher.EventAgentCapacity, nil, a.ID, capacityData{a.Capacity.Units, a.Capacity.InterruptibleUnits})
	}
	s.tabulate(a)
	s.skills = nil
	s.tx.freed[a.ID] = true // a new skill or more room may fit who waits
	return nil
}

type versionData struct {
	Version int `json:"version"`
}

type capacityData struct {
	Units              int `json:"units"`
	InterruptibleUnits int `json:"interruptible_units"`
}

func (s *State) removeAgent(b usher.AgentRemove) *usher.Error {
	a := s.agents[b.AgentID]
	switch {
	case a == nil:
		return usher.Errorf(usher.NotFound, "no such agent").At("agent_id")
	case a.state.Open > 0:
		return &usher.Error{Code: usher.Conflict, Message: "the agent still holds conversations", Hint: "transfer or close them first"}
	}
	delete(s.agents, b.AgentID)
	s.table.Remove(b.AgentID)
	s.skills = nil
	s.tx.agents[b.AgentID] = true
	s.event(usher.EventAgentUpdated, nil, b.AgentID, removedData{true})
	return nil
}

type removedData struct {
	Removed bool `json:"removed"`
}

func (s *State) putCustomer(b usher.CustomerPut) *usher.Error {
	s.tx.out.Customers = append(s.tx.out.Customers, b.Customer)
	facts := b.Customer.FactsAt(s.tx.now)
	kind := usher.EventTierChanged
	if b.Was == facts.Tier {
		kind = usher.EventCustomerUpdated
	}
	e := usher.Event{
		Step: s.tx.out.Step, N: len(s.tx.out.Events), Type: kind, At: s.tx.now, CustomerID: b.Customer.ID,
		Data: tierData{Tier: facts.Tier, Source: facts.TierSource},
	}
	s.tx.out.Events = append(s.tx.out.Events, e)
	s.customerIs(facts)
	return nil
}

// customerIs tells the customer's conversations what now holds of him.
func (s *State) customerIs(facts usher.CustomerFacts) {
	var own []string
	for id, c := range s.convs {
		if c.CustomerID == facts.ID {
			own = append(own, id)
		}
	}
	slices.Sort(own) // in one order, whatever the map's
	for _, id := range own {
		c := s.convs[id]
		c.Work.Customer = facts
		s.reconsider(c)
	}
}

// setPeople stores who is one person.
func (s *State) setPeople(b usher.PeopleSet) *usher.Error {
	out := s.tx.out
	out.Links, out.Suggestions = append(out.Links, b.Links...), append(out.Suggestions, b.Suggestions...)
	tell := func(kind, customerID string, data any) {
		out.Events = append(out.Events, usher.Event{
			Step: out.Step, N: len(out.Events), Type: kind, At: s.tx.now, CustomerID: customerID, Data: data,
		})
	}
	for i := range b.Links {
		l := &b.Links[i]
		kind, by := usher.EventCustomerMerged, l.By
		if !l.UndoneAt.IsZero() {
			kind, by = usher.EventCustomerUnmerged, l.UndoneBy
		}
		tell(kind, l.A, mergedData{LinkID: l.ID, A: l.A, B: l.B, Evidence: l.Evidence.Kind, Level: l.Evidence.Level, By: by})
	}
	for i := range b.Suggestions {
		g := &b.Suggestions[i]
		tell(usher.EventIdentitySuggested, g.A, suggestedData{
			Customers: []string{g.A, g.B}, SuggestionID: g.ID, Evidence: g.Evidence.Kind, Reason: g.Why, State: g.State,
		})
	}
	for i := range b.Customers {
		facts := b.Customers[i].FactsAt(s.tx.now)
		tell(usher.EventCustomerUpdated, facts.ID, tierData{Tier: facts.Tier, Source: facts.TierSource})
		s.customerIs(facts)
	}
	return nil
}

type mergedData struct {
	LinkID   string      `json:"link_id"`
	A        string      `json:"a"`
	B        string      `json:"b"`
	Evidence string      `json:"evidence"`
	Level    usher.Level `json:"level"`
	By       string      `json:"by"`
}

type suggestedData struct {
	Customers    []string `json:"customers"`
	SuggestionID string   `json:"suggestion_id"`
	Evidence     string   `json:"evidence"`
	Reason       string   `json:"reason"`
	State        string   `json:"state"`
}

type tierData struct {
	Tier   string `json:"tier"`
	Source string `json:"source"`
}

// tierExpired lets a manual entry run out: what the next source says holds, which
// may be another entry.
func (s *State) tierExpired(c *usher.Conversation) {
	f := &c.Work.Customer
	next := usher.TierFall{Tier: firstOf(f.Below, usher.TierRegular), Source: "default"}
	if len(f.Falls) > 0 {
		next, f.Falls = f.Falls[0], f.Falls[1:]
	}
	f.Tier, f.TierSource, f.TierReason, f.TierUntil = next.Tier, next.Source, next.Reason, next.Until
	s.event(usher.EventTierChanged, c, "", tierData{Tier: f.Tier, Source: f.TierSource})
	s.reconsider(c)
	s.touch(c)
}

// reconsider applies tier and rules anew to a conversation that no agent has.
func (s *State) reconsider(c *usher.Conversation) {
	switch c.Status {
	case usher.StatusAssigned, usher.StatusWrapping, usher.StatusClosed:
		c.Tier = c.Work.Customer.Tier
		s.touch(c)
		return
	default:
	}
	block := s.evaluate(c)
	switch {
	case block != "" && c.Status != usher.StatusBlocked:
		s.detach(c, "blocked")
		c.AgentID = ""
		s.block(c, block)
	case block == "" && c.Status == usher.StatusBlocked:
		s.requeue(c)
	case block != "":
		s.touch(c)
	case c.Status == usher.StatusOffered:
		s.refresh(c)
		s.touch(c)
	case c.Status == usher.StatusQueued:
		s.enqueue(c, "")
		s.retryLater(c)
	case c.Work.BotWhy == "" && c.Work.Bot != nil && !c.Work.Bot.Done && !c.Work.Bot.Answered:
		// The bot was not for him after all, and has not answered him.
		c.Work.Bot = c.Work.Bot.Over()
		c.Work.AnswerBy, c.Work.Choices = time.Time{}, nil
		s.enqueue(c, "")
		s.retryLater(c)
	default:
		s.touch(c)
	}
}

func (s *State) publish(b usher.PolicyPublish) *usher.Error {
	if b.Policy.Version != s.version.Version+1 {
		return usher.Errorf(usher.Stale, "the policy is at version %d", s.version.Version)
	}
	holds := make(map[string][]int, len(b.Facts))
	for _, f := range b.Facts {
		holds[f.ConversationID] = f.Holds
	}
	for _, id := range s.Waiting() {
		if _, ok := holds[id]; !ok {
			return usher.Errorf(usher.Conflict, "a conversation began to wait while the policy was being published")
		}
	}
	v := b.Policy
	v.PublishedAt = s.tx.now
	if err := s.compile(v); err != nil {
		return err
	}
	s.weigh()
	s.retable()
	s.tx.out.Policies = append(s.tx.out.Policies, v)
	kind := usher.EventPolicyPublished
	if v.RestoredFrom > 0 {
		kind = usher.EventPolicyRestored
	}
	s.event(kind, nil, "", versionData{v.Version})
	for _, id := range slices.Sorted(maps.Keys(s.convs)) {
		c := s.convs[id]
		c.Work.Facts = usher.TextFacts{Version: v.Version, Holds: holds[id]}
		s.reconsider(c)
	}
	return nil
}

func (s *State) moveAlias(b usher.AliasMove) *usher.Error {
	s.bundle = b.Bundle
	s.retable()
	s.tx.out.Bundles = append(s.tx.out.Bundles, b.Bundle)
	s.event(usher.EventModelPromoted, nil, "", modelData{b.Bundle.Model, b.Bundle.Embedding})
	for _, id := range slices.Sorted(maps.Keys(s.waiting)) {
		s.retryLater(s.waiting[id])
	}
	return nil
}

type modelData struct {
	Model     usher.ModelRef `json:"model"`
	Embedding string         `json:"embedding"`
}

// serving returns the skills that serve a label, sorted. They are gathered when
// first asked for after a change of agents, labels or policy.
func (s *State) serving(label int) []string {
	if s.skills == nil {
		s.skills = make([][]string, len(s.bundle.Labels))
		for _, id := range slices.Sorted(maps.Keys(s.agents)) {
			s.gather(s.agents[id])
		}
		for _, names := range s.skills {
			slices.Sort(names)
		}
	}
	return s.skills[label]
}

func (s *State) gather(a *agent) {
	for _, k := range a.Skills {
		name := s.policy.Skill(k.Name)
		for _, intent := range s.intentsOf(a, name) {
			if i, ok := s.labels[intent]; ok && !slices.Contains(s.skills[i], name) {
				s.skills[i] = append(s.skills[i], name)
			}
		}
	}
}
