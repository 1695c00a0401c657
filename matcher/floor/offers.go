package floor

import (
	"slices"
	"time"

	"usher"
)

// Kinds of exclusion.
const (
	exclusionDeclined = "declined"
	exclusionExpired  = "expired"
	exclusionForgiven = "forgiven" // declined once, may be asked again, as a second choice
)

type offerData struct {
	OfferID   string     `json:"offer_id"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Reason    string     `json:"reason,omitempty"`
}

// reserve books units for an offer; book turns a reservation into use, or books
// without one; release gives them back.
func (s *State) reserve(a *agent, c *usher.Conversation, units int) {
	c.Work.Booked = nil
	if c.Work.Kind.Interruptible() {
		a.state.UsedInterruptible += units
		a.state.ReservedInterruptible += units
	} else {
		a.state.UsedUnits += units
		a.state.ReservedUnits += units
	}
	a.state.Open++
	a.state.IdleSince = time.Time{}
	a.open[c.Channel]++
	s.touchState(a)
}

// confirm turns reserved units into used ones.
func (s *State) confirm(a *agent, c *usher.Conversation) {
	if c.Seat().Kind.Interruptible() {
		a.state.ReservedInterruptible -= c.Work.Units
	} else {
		a.state.ReservedUnits -= c.Work.Units
	}
	s.touchState(a)
}

func (s *State) release(a *agent, c *usher.Conversation, reserved bool) {
	units, seat := c.Work.Units, c.Seat()
	c.Work.Booked = nil
	if seat.Kind.Interruptible() {
		a.state.UsedInterruptible -= units
		if reserved {
			a.state.ReservedInterruptible -= units
		}
	} else {
		a.state.UsedUnits -= units
		if reserved {
			a.state.ReservedUnits -= units
		}
	}
	a.state.Open--
	if a.state.Open == 0 {
		a.state.IdleSince = s.tx.now
	}
	a.open[seat.Channel]--
	if a.open[seat.Channel] == 0 {
		delete(a.open, seat.Channel)
	}
	s.touchState(a)
	s.tx.freed[a.ID] = true
}

// offer asks one agent.
func (s *State) offer(c *usher.Conversation, a *agent, reason, decision string) {
	p, w := s.policy.Document().Offers, &c.Work
	expires := p.ExpiresS.Chat
	if w.Kind == usher.KindEmail {
		expires = p.ExpiresS.Email
	}
	o := &usher.Offer{
		ID: s.id("offer"), ConversationID: c.ID, AgentID: a.ID, State: usher.OfferPending, CreatedAt: s.tx.now,
		ExpiresAt: s.tx.now.Add(time.Duration(expires) * time.Second), DecisionID: decision, Units: w.Units, Reason: reason,
	}
	s.offers[o.ID] = o
	s.tx.offers[o.ID] = *o
	s.reserve(a, c, w.Units)
	c.Status, c.AgentID, w.OfferID = usher.StatusOffered, a.ID, o.ID
	w.Offers++
	c.Routing = usher.Routing{
		State: usher.StateOffered, Reason: reason, Queue: c.Queue, Agent: s.ref(a.ID),
		Offer: &usher.OfferRef{ID: o.ID, AgentID: a.ID, ExpiresAt: o.ExpiresAt}, DecisionID: decision,
	}
	s.event(usher.EventOfferCreated, c, a.ID, offerData{OfferID: o.ID, ExpiresAt: &o.ExpiresAt, Reason: reason})
	if w.Offers >= p.MaxOffers && !w.MaxOffers {
		w.MaxOffers = true
		s.raise(c, "nobody_accepts", "")
	}
	s.touch(c)
}

// endOffer closes a pending offer and frees its units; the conversation is left
// to the caller.
func (s *State) endOffer(c *usher.Conversation, o *usher.Offer, state usher.OfferState, reason string) {
	now := s.tx.now
	o.State, o.DecidedAt, o.Reason = state, &now, reason
	s.tx.offers[o.ID] = *o
	delete(s.offers, o.ID)
	s.decided.add(*o)
	c.Work.OfferID = ""
	a := s.agents[o.AgentID]
	kind := usher.EventOfferRescinded
	switch state {
	case usher.OfferAccepted:
		s.counts.Accepted++
		kind = usher.EventOfferAccepted
		s.confirm(a, c)
	case usher.OfferDeclined:
		s.counts.Declined++
		kind = usher.EventOfferDeclined
		s.release(a, c, true)
	case usher.OfferIsExpired:
		s.counts.Expired++
		kind = usher.EventOfferExpired
		s.release(a, c, true)
	default:
		s.release(a, c, true)
	}
	s.event(kind, c, o.AgentID, offerData{OfferID: o.ID, Reason: reason})
}

// pending finds the offer an agent answers. An answer already given is repeated
// without a change (done); another is refused with what became of the offer.
func (s *State) pending(offerID, agentID string, want usher.OfferState) (o *usher.Offer, done bool, err *usher.Error) {
	o = s.offers[offerID]
	if o == nil {
		old, ok := s.decided.byID[offerID]
		if !ok {
			return nil, false, usher.Errorf(usher.NotFound, "no such offer is pending").At("offer_id")
		}
		if agentID != "" && agentID != old.AgentID {
			return nil, false, usher.Errorf(usher.PermissionDenied, "the offer was made to another agent")
		}
		if old.State == want {
			return &old, true, nil
		}
		return nil, false, old.Refusal()
	}
	if agentID != "" && agentID != o.AgentID {
		return nil, false, usher.Errorf(usher.PermissionDenied, "the offer was made to another agent")
	}
	return o, false, nil
}

func (s *State) accept(b usher.Accept) *usher.Error {
	o, done, err := s.pending(b.OfferID, b.AgentID, usher.OfferAccepted)
	if err != nil {
		return err
	}
	if done {
		s.tx.out.Result = s.answer(s.convs[o.ConversationID], o)
		return nil
	}
	c, a := s.convs[o.ConversationID], s.agents[o.AgentID]
	s.endOffer(c, o, usher.OfferAccepted, o.Reason)
	a.state.Misses = 0
	s.begin(c, a, o.ID, o.Reason, c.Work.Override, o.DecisionID)
	s.tx.out.Result = s.answer(c, o)
	return nil
}

func (s *State) answer(c *usher.Conversation, o *usher.Offer) usher.Result {
	copied := *o
	r := usher.Result{Offer: &copied}
	if c != nil {
		r.Conversation, r.Routing = c, c.Routing
	}
	return r
}

// give assigns c to a without asking; units are booked here.
func (s *State) give(c *usher.Conversation, a *agent, offerID, reason, override, decision string) {
	s.reserve(a, c, c.Work.Units)
	s.confirm(a, c)
	s.begin(c, a, offerID, reason, override, decision)
}

// begin starts an agent's time with a conversation; his units are booked.
func (s *State) begin(c *usher.Conversation, a *agent, offerID, reason, override, decision string) {
	now, w := s.tx.now, &c.Work
	w.Waited = waited(c, now)
	c.WaitingSince = nil
	c.Status, c.AgentID, c.AssignedAt = usher.StatusAssigned, a.ID, &now
	w.Excluded, w.AllExcluded, w.Offers, w.MaxOffers, w.Target, w.Override = []usher.Exclusion{}, time.Time{}, 0, false, "", ""
	w.NoReply, w.Replied = false, false
	w.Prefers, w.RequeueAt, w.AnswerBy, w.LastMessageAt = "", time.Time{}, time.Time{}, now
	w.Assignment = &usher.Assignment{
		ID: s.id("assignment"), ConversationID: c.ID, AgentID: a.ID, OfferID: offerID, Units: w.Units, StartedAt: now, Override: override,
	}
	s.tx.assigns[w.Assignment.ID] = *w.Assignment
	a.state.LastAssignedAt = now
	s.touchState(a)
	c.Routing = usher.Routing{State: usher.StateAssigned, Reason: reason, Queue: c.Queue, Agent: s.ref(a.ID), DecisionID: decision}
	s.calm(c)
	w.Overflowed, w.Invitation, w.HoursAt, w.HoldUntil, w.Promised, w.Found = nil, nil, time.Time{}, time.Time{}, false, nil
	if w.Bot != nil {
		w.Bot = w.Bot.Over()
	}
	s.fact(usher.EventConversationAssigned, c, usher.ConversationData{Reason: reason, OfferID: offerID})
	s.touch(c)
}

func (s *State) decline(b usher.Decline) *usher.Error {
	o, done, err := s.pending(b.OfferID, b.AgentID, usher.OfferDeclined)
	if err != nil {
		return err
	}
	if done {
		s.tx.out.Result = s.answer(s.convs[o.ConversationID], o)
		return nil
	}
	c := s.convs[o.ConversationID]
	s.endOffer(c, o, usher.OfferDeclined, b.Reason)
	s.agents[o.AgentID].state.Misses = 0
	s.exclude(c, o.AgentID, exclusionDeclined)
	s.requeue(c)
	s.settle()
	s.tx.out.Result = s.answer(c, o)
	return nil
}

// missed is an offer that ran out: its agent is passed over until he next comes
// online, and set away when it happens again with no action between.
func (s *State) missed(c *usher.Conversation, o *usher.Offer) {
	now, a := s.tx.now, s.agents[o.AgentID]
	s.endOffer(c, o, usher.OfferIsExpired, "not answered")
	s.exclude(c, a.ID, exclusionExpired)
	if a.state.Misses == 0 || now.Sub(a.state.LastMissAt) > missesTogether {
		a.state.Misses++
	}
	a.state.LastMissAt = now
	s.touchState(a)
	if a.state.Misses >= s.policy.Document().Offers.MaxMisses && a.state.Presence == usher.PresenceOnline {
		a.state.Alarm = &usher.Alarm{ID: "missed_offers:" + a.ID, Kind: "missed_offers", AgentID: a.ID, Since: now}
		s.event(usher.EventAlarmRaised, nil, a.ID, *a.state.Alarm)
		s.move(a, usher.PresenceAway, "missed_offers")
	}
	s.requeue(c)
}

func (s *State) exclude(c *usher.Conversation, agentID, kind string) {
	xs := slices.DeleteFunc(slices.Clone(c.Work.Excluded), func(x usher.Exclusion) bool { return x.AgentID == agentID })
	xs = append(xs, usher.Exclusion{AgentID: agentID, Kind: kind, At: s.tx.now})
	c.Work.Excluded = xs
}

func (s *State) excludedAs(c *usher.Conversation, kind string) bool {
	return slices.ContainsFunc(c.Work.Excluded, func(x usher.Exclusion) bool { return x.Kind == kind })
}

// without returns the exclusions that are not of kind, in a new slice: stored
// rows share the old one.
func without(xs []usher.Exclusion, kind string) []usher.Exclusion {
	kept := []usher.Exclusion{}
	for _, x := range xs {
		if x.Kind != kind {
			kept = append(kept, x)
		}
	}
	return kept
}

// forgiven returns the exclusions with what was declined forgiven.
func forgiven(xs []usher.Exclusion) []usher.Exclusion {
	ys := slices.Clone(xs)
	for i := range ys {
		if ys[i].Kind == exclusionDeclined {
			ys[i].Kind = exclusionForgiven
		}
	}
	return ys
}

// requeue puts a conversation back in its queue with its age, and asks again.
func (s *State) requeue(c *usher.Conversation) {
	s.enqueue(c, "")
	s.retryLater(c)
}
