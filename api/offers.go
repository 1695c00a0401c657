package api

import (
	"context"

	"usher"
)

// listOffers shows offers, pending ones unless a state is asked for.
func (s *Server) listOffers(ctx context.Context, c *call) (page[usher.Offer], error) {
	var f faults
	filter := usher.OfferFilter{
		AgentID: c.query.Get("agent_id"), ConversationID: c.query.Get("conversation_id"),
		State: usher.OfferState(or(c.query.Get("state"), string(usher.OfferPending))), Page: c.pageOf(&f),
	}
	switch filter.State {
	case usher.OfferPending, usher.OfferAccepted, usher.OfferDeclined, usher.OfferIsExpired, usher.OfferWithdrawn:
	case "all":
		filter.State = ""
	default:
		f.add("query.state", "unknown_value", "state is one of pending, accepted, declined, expired, rescinded, all")
	}
	if err := f.err(); err != nil {
		return page[usher.Offer]{}, err
	}
	if own := c.onlyAgent(); own != "" {
		if filter.AgentID != "" && filter.AgentID != own {
			return page[usher.Offer]{}, usher.Errorf(usher.PermissionDenied, "this key sees only its own agent's offers").At("query.agent_id")
		}
		filter.AgentID = own
	}
	rows, next, err := s.cfg.Store.Offers(ctx, filter)
	if err != nil {
		return page[usher.Offer]{}, err
	}
	return paged(rows, next), nil
}

func (s *Server) accept(ctx context.Context, c *call, _ none) (usher.Offer, error) {
	return s.decide(ctx, c, usher.OfferAccepted, usher.Accept{OfferID: c.param("id"), AgentID: c.by.AgentID})
}

type declineRequest struct {
	Reason string `json:"reason"`
}

func (s *Server) decline(ctx context.Context, c *call, req declineRequest) (usher.Offer, error) {
	return s.decide(ctx, c, usher.OfferDeclined, usher.Decline{OfferID: c.param("id"), AgentID: c.by.AgentID, Reason: req.Reason})
}

// decide brings an offer to the wanted state. Wishing again what has been
// decided so is no error.
func (s *Server) decide(ctx context.Context, c *call, wanted usher.OfferState, body usher.Body) (usher.Offer, error) {
	id := c.param("id")
	o, err := s.cfg.Store.OfferByID(ctx, id)
	if err != nil {
		return usher.Offer{}, err
	}
	if err := c.mayActFor(o.AgentID); err != nil {
		return usher.Offer{}, err
	}
	if o.State != usher.OfferPending {
		return s.decided(ctx, o, wanted)
	}
	res, err := s.do(ctx, c, body)
	if err == nil {
		if res.Offer != nil {
			return *res.Offer, nil
		}
		return s.cfg.Store.OfferByID(ctx, id)
	}
	if usher.CodeOf(err) == usher.NotFound || statusOf(usher.CodeOf(err)) == 409 {
		if o, readErr := s.cfg.Store.OfferByID(ctx, id); readErr == nil && o.State != usher.OfferPending {
			return s.decided(ctx, o, wanted)
		}
	}
	return usher.Offer{}, err
}

// decided answers a wish about an offer that is no longer pending. Who is late
// learns which agent has the conversation.
func (s *Server) decided(ctx context.Context, o usher.Offer, wanted usher.OfferState) (usher.Offer, error) {
	if o.State == wanted {
		return o, nil
	}
	e := o.Refusal()
	if v, err := s.cfg.Store.ConversationByID(ctx, o.ConversationID); err == nil && v.Status == usher.StatusAssigned && v.AgentID != o.AgentID {
		e.Details = append(e.Details, usher.Detail{Path: "agent_id", Code: "assigned_to", Message: v.AgentID})
	}
	return usher.Offer{}, e
}
