package floor

import (
	"slices"

	"usher"
)

// moveTo makes ch the channel of c: where the customer now is and is answered.
// An agent who has c keeps it; his units stay booked where they were. Who is asked
// is asked for what c costs there, and not any longer if he has no room for that.
func (s *State) moveTo(c *usher.Conversation, ch usher.Channel, invited bool) {
	if c.Channel == ch.ID {
		return
	}
	w, from := &c.Work, c.Channel
	if len(w.Legs) == 0 {
		w.Legs = []usher.Leg{{Channel: c.Channel, Kind: w.Kind, Since: c.OpenedAt}}
	}
	if !slices.ContainsFunc(w.Legs, func(l usher.Leg) bool { return l.Channel == ch.ID }) {
		w.Legs = append(slices.Clone(w.Legs), usher.Leg{Channel: ch.ID, Kind: ch.Kind, Since: s.tx.now, Invited: invited})
	}
	room := true
	switch c.Status {
	case usher.StatusOffered:
		room = s.rebook(c, ch)
	case usher.StatusAssigned, usher.StatusWrapping:
		seat := c.Seat()
		w.Booked = &seat
	default:
		w.Units = s.policy.Cost(ch.Kind)
	}
	c.Channel, w.Kind = ch.ID, ch.Kind
	s.fact(usher.EventConversationMoved, c, usher.ConversationData{From: from})
	if !room {
		s.endOffer(c, s.offers[w.OfferID], usher.OfferWithdrawn, "capacity")
		s.requeue(c)
	}
}

// rebook reserves for the offer of c what c costs on ch, in place of what it cost
// where it was, and reports whether its agent has room for it.
func (s *State) rebook(c *usher.Conversation, ch usher.Channel) bool {
	a, o, w := s.agents[c.AgentID], s.offers[c.Work.OfferID], &c.Work
	s.release(a, c, true)
	c.Channel, w.Kind, w.Units = ch.ID, ch.Kind, s.policy.Cost(ch.Kind)
	filter, _ := s.table.Passes(a.ID, s.queryFor(c, s.tx.now))
	s.reserve(a, c, w.Units)
	o.Units = w.Units
	s.tx.offers[o.ID] = *o
	return filter != "capacity" || w.Override != ""
}

// redeem follows an invitation. Place, context and agent stay; nothing is asked
// again. Who still waits is looked at under the rules, and for the agents, of the
// channel where he is now. The old channel is told, so that a stranger with the link is noticed.
func (s *State) redeem(b usher.Redeem) *usher.Error {
	c, err := s.active(b.ConversationID)
	if err != nil {
		return err
	}
	w := &c.Work
	switch inv := w.Invitation; {
	case inv == nil || inv.ID != b.InvitationID:
		return usher.Errorf(usher.Conflict, "the invitation was used already, or is no longer needed").At("invitation_id")
	case !s.tx.now.Before(inv.ExpiresAt):
		return usher.Errorf(usher.Conflict, "the invitation has expired").At("invitation_id")
	case inv.Channel != b.Channel.ID:
		return usher.Errorf(usher.InvalidArgument, "the invitation is to another channel").At("channel")
	case b.Customer != nil && b.Customer.ID != c.CustomerID:
		return usher.Errorf(usher.Unprocessable, "the conversation belongs to another customer").At("customer")
	}
	if b.Customer != nil {
		s.tx.out.Customers = append(s.tx.out.Customers, *b.Customer)
	}
	from := usher.Channel{ID: c.Channel, Kind: w.Kind}
	w.Invitation = nil
	w.LastMessageAt = s.tx.now
	s.send(c, usher.Message{ID: s.id("msg"), Author: usher.BySystem, Text: say(c.Language, saidMoved)}, &from)
	s.moveTo(c, b.Channel, true)
	if c.Routing.State == usher.StateOverflow {
		c.Routing.State, c.Routing.Invitation, c.Routing.Reply = usher.StateQueued, nil, ""
	}
	s.reconsider(c)
	s.touch(c)
	s.settle()
	r, _ := s.Routing(c.ID, s.tx.now)
	s.tx.out.Result = usher.Result{Conversation: c, Routing: r}
	return nil
}
