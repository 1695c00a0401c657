package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"usher"
)

// customerView is a customer with the tier that holds now, and why.
type customerView struct {
	ID            string           `json:"id"`
	Name          string           `json:"name"`
	Identities    []usher.Identity `json:"identities"`
	Tier          string           `json:"tier"`
	TierSource    string           `json:"tier_source"`
	TierReason    string           `json:"tier_reason,omitempty"`
	TierExpiresAt *time.Time       `json:"tier_expires_at,omitempty"`
	Value         *usher.Value     `json:"value,omitempty"`
	Attributes    map[string]any   `json:"attributes"`
	Tags          []string         `json:"tags"`
	Language      string           `json:"language,omitempty"`
	Anonymous     bool             `json:"anonymous,omitempty"`
	Linked        []string         `json:"linked,omitempty"` // other customers of the same person
	Names         []string         `json:"names,omitempty"`  // others, by which messages came from his mailbox
	CreatedAt     time.Time        `json:"created_at"`
	Version       int              `json:"version"`
}

func showCustomer(v usher.Customer, now time.Time) customerView {
	facts := v.FactsAt(now)
	out := customerView{
		ID: v.ID, Name: v.Name, Names: v.Names, Tier: facts.Tier, TierSource: facts.TierSource,
		TierReason: facts.TierReason, Value: v.Value, Attributes: object(v.Attributes), Tags: list(v.Tags),
		Language: v.Language, Anonymous: v.Anonymous, CreatedAt: v.CreatedAt, Version: v.Version,
	}
	out.Identities = make([]usher.Identity, len(v.Identities))
	for i, id := range v.Identities {
		id.Level = id.Grade()
		out.Identities[i] = id
	}
	if v.Person != nil {
		for _, id := range v.Person.Customers {
			if id != v.ID {
				out.Linked = append(out.Linked, id)
			}
		}
	}
	if !facts.TierUntil.IsZero() {
		out.TierExpiresAt = &facts.TierUntil
	}
	if out.Value != nil {
		value := *out.Value
		value.Reasons = list(value.Reasons)
		out.Value = &value
	}
	return out
}

func (s *Server) answerCustomer(c *call, v usher.Customer) customerView {
	c.out.Set("ETag", tag(v.Version))
	return showCustomer(v, s.cfg.Now().UTC())
}

// customerRequest is what a client owns of a customer. What usher owns may stand
// in the body, so that a customer that was read can be sent back, and is ignored.
type customerRequest struct {
	ID         *string          `json:"id"`
	Name       *string          `json:"name"`
	Identities []usher.Identity `json:"identities"`
	Tier       *string          `json:"tier"`
	Attributes map[string]any   `json:"attributes"`
	Tags       []string         `json:"tags"`
	Language   *string          `json:"language"`

	TierSource    any `json:"tier_source"`
	TierReason    any `json:"tier_reason"`
	TierExpiresAt any `json:"tier_expires_at"`
	Value         any `json:"value"`
	Anonymous     any `json:"anonymous"`
	Linked        any `json:"linked"`
	Names         any `json:"names"`
	CreatedAt     any `json:"created_at"`
	Version       any `json:"version"`
}

func (s *Server) getCustomer(ctx context.Context, c *call) (customerView, error) {
	v, err := s.cfg.Store.CustomerByID(ctx, c.param("id"))
	if err != nil {
		return customerView{}, err
	}
	if v, err = s.whole(ctx, v); err != nil {
		return customerView{}, err
	}
	return s.answerCustomer(c, v), nil
}

// listCustomers lists all, or those with one of the identities "kind:value".
func (s *Server) listCustomers(ctx context.Context, c *call) (page[customerView], error) {
	var f faults
	p := c.pageOf(&f)
	var ids []usher.Identity
	for _, v := range c.query["identity"] {
		kind, value, ok := strings.Cut(v, ":")
		if !ok || kind == "" || value == "" {
			f.add("query.identity", "malformed", "write kind:value, such as phone:+8613800138000")
			continue
		}
		ids = append(ids, usher.Identity{Kind: kind, Value: value})
	}
	if err := f.err(); err != nil {
		return page[customerView]{}, err
	}
	var rows []usher.Customer
	var next string
	var err error
	if len(ids) > 0 {
		rows, err = s.cfg.Store.CustomersByIdentity(ctx, ids)
	} else {
		rows, next, err = s.cfg.Store.Customers(ctx, p)
	}
	if err != nil {
		return page[customerView]{}, err
	}
	now := s.cfg.Now().UTC()
	views := make([]customerView, len(rows))
	for i, v := range rows {
		views[i] = showCustomer(v, now)
	}
	return paged(views, next), nil
}

func (s *Server) putCustomer(ctx context.Context, c *call, req customerRequest) (customerView, error) {
	return s.changeCustomer(ctx, c, req, true)
}

func (s *Server) patchCustomer(ctx context.Context, c *call, req customerRequest) (customerView, error) {
	if _, err := s.cfg.Store.CustomerByID(ctx, c.param("id")); err != nil {
		return customerView{}, err
	}
	return s.changeCustomer(ctx, c, req, false)
}

func (s *Server) changeCustomer(ctx context.Context, c *call, req customerRequest, replace bool) (customerView, error) {
	id := c.param("id")
	// A tier that was read and comes back is the CRM's only if it said so.
	if req.TierSource != nil && req.TierSource != "crm" {
		req.Tier = nil
	}
	if err := s.checkCustomer(id, &req); err != nil {
		return customerView{}, err
	}
	v, created, err := s.cfg.Desk.PutCustomer(ctx, c.by, CustomerChange{
		ID: id, Replace: replace, Name: req.Name, Identities: req.Identities, Attributes: req.Attributes,
		Tags: req.Tags, Language: req.Language, Tier: req.Tier, Match: c.match(),
	})
	if err != nil {
		return customerView{}, err
	}
	if created {
		c.status = 201
	}
	return s.answerCustomer(c, v), nil
}

func (s *Server) checkCustomer(id string, r *customerRequest) error {
	var f faults
	if r.ID != nil && *r.ID != id {
		f.add("id", "mismatch", "the id in the body differs from the one in the path")
	}
	checkIdentities(r.Identities, "identities", &f)
	checkAttributes(r.Attributes, "attributes", &f)
	if r.Language != nil && *r.Language != "" {
		checkTag(*r.Language, "language", &f)
	}
	if r.Tier != nil && *r.Tier != "" {
		s.checkTier(*r.Tier, &f)
	}
	for i, t := range r.Tags {
		if blank(t) {
			f.add(fmt.Sprintf("tags[%d]", i), "required", "a tag must not be empty")
		}
	}
	return f.err()
}

// checkTier asks the serving policy whether it has the tier.
func (s *Server) checkTier(name string, f *faults) {
	var known []string
	for _, t := range s.cfg.Floor.Policy().Document().Tiers {
		if t.Name == name {
			return
		}
		known = append(known, t.Name)
	}
	f.add("tier", "unknown_value", "tier is one of "+strings.Join(known, ", "))
}

type tierRequest struct {
	Tier      string     `json:"tier"`
	Reason    string     `json:"reason"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// setTier enters a customer by hand; reason and expiry are required.
func (s *Server) setTier(ctx context.Context, c *call, req tierRequest) (customerView, error) {
	if err := s.checkEntry(&req); err != nil {
		return customerView{}, err
	}
	old, err := s.cfg.Store.CustomerByID(ctx, c.param("id"))
	if err != nil {
		return customerView{}, err
	}
	if !c.match().Version(old.Version) {
		return customerView{}, stale("the customer")
	}
	entry := usher.TierEntry{Tier: req.Tier, Reason: req.Reason, ExpiresAt: req.ExpiresAt.UTC(), By: c.by.ID}
	v, err := s.cfg.Desk.SetTier(ctx, c.by, old.ID, entry)
	if err != nil {
		return customerView{}, err
	}
	s.audit(ctx, c, "customer.tier", old.ID, old.Manual, entry)
	return s.answerCustomer(c, v), nil
}

func (s *Server) checkEntry(req *tierRequest) error {
	var f faults
	if req.Tier == "" {
		f.add("tier", "required", "tier is required")
	} else {
		s.checkTier(req.Tier, &f)
	}
	if blank(req.Reason) {
		f.add("reason", "required", "reason is required")
	}
	switch {
	case req.ExpiresAt == nil:
		f.add("expires_at", "required", "expires_at is required")
	case !req.ExpiresAt.After(s.cfg.Now()):
		f.add("expires_at", "out_of_range", "expires_at must lie in the future")
	}
	return f.err()
}
