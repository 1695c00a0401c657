package api

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"usher"
	"usher/matcher/policy"
)

const maxTexts = 64

type understandRequest struct {
	Text  *string  `json:"text"`
	Texts []string `json:"texts"`
}

type understandAnswer struct {
	Results []*usher.Understanding `json:"results"`
}

// understand predicts; nothing is stored.
func (s *Server) understand(ctx context.Context, c *call, req understandRequest) (understandAnswer, error) {
	texts := req.Texts
	switch {
	case req.Text != nil && req.Texts != nil:
		return understandAnswer{}, usher.Errorf(usher.InvalidArgument, "give text or texts, not both").At("text")
	case req.Text != nil:
		texts = []string{*req.Text}
	case len(texts) == 0:
		return understandAnswer{}, usher.Errorf(usher.InvalidArgument, "text or texts is required").At("texts")
	case len(texts) > maxTexts:
		return understandAnswer{}, usher.Errorf(usher.InvalidArgument, "at most %d texts at once", maxTexts).At("texts")
	}
	for i, t := range texts {
		if err := checkSize(t, fmt.Sprintf("texts[%d]", i)); err != nil {
			return understandAnswer{}, err
		}
	}
	us, _, timing, err := s.cfg.Understander.Understand(ctx, texts)
	if err != nil {
		return understandAnswer{}, err
	}
	c.timing(timing)
	out := understandAnswer{Results: make([]*usher.Understanding, len(us))}
	for i := range us {
		out.Results[i] = showUnderstanding(&us[i])
	}
	return out, nil
}

// MatchRequest asks for a dry run. Give either Text or Intents.
type MatchRequest struct {
	Text     string          `json:"text,omitempty"`
	Intents  []usher.IntentP `json:"intents,omitempty"`
	Channel  string          `json:"channel,omitempty"` // defaults to web
	Language string          `json:"language,omitempty"`
	Customer MatchCustomer   `json:"customer,omitzero"`
	Hints    usher.Hints     `json:"hints,omitzero"`
}

// MatchCustomer is a stored customer, by id or identity, or an imagined one; Tier
// and Attributes are taken as if the customer had them.
type MatchCustomer struct {
	ID         string           `json:"id,omitempty"`
	Identities []usher.Identity `json:"identities,omitempty"`
	Tier       string           `json:"tier,omitempty"`
	Attributes map[string]any   `json:"attributes,omitempty"`
}

// MatchAnswer is the decision that would be made.
type MatchAnswer struct {
	Understanding  *usher.Understanding `json:"understanding"`
	Outcome        string               `json:"outcome"`
	Reason         string               `json:"reason"`
	Queue          string               `json:"queue,omitempty"`
	Tier           string               `json:"tier"`
	Rules          []usher.RuleHit      `json:"rules"`
	Funnel         []usher.FilterCount  `json:"funnel"`
	Candidates     []usher.Candidate    `json:"candidates"`
	Chosen         string               `json:"chosen,omitempty"`
	Margin         usher.Micro          `json:"margin"`
	Versions       usher.Versions       `json:"versions"`
	Counterfactual *Counterfactual      `json:"counterfactual,omitempty"`
	Degraded       bool                 `json:"degraded,omitempty"`
}

// matchDry is the dry run: what a message would be answered with now.
func (s *Server) matchDry(ctx context.Context, c *call, req MatchRequest) (MatchAnswer, error) {
	if err := req.check(); err != nil {
		return MatchAnswer{}, err
	}
	now := s.cfg.Now().UTC()
	a, timing, err := s.arrivalFor(ctx, req, s.cfg.Floor.Policy(), now)
	if err != nil {
		return MatchAnswer{}, err
	}
	d, err := s.cfg.Floor.Match(ctx, a)
	if err != nil {
		return MatchAnswer{}, err
	}
	timing.Match = s.cfg.Now().Sub(now) - timing.Tokenize - timing.Queue - timing.Infer
	c.timing(timing)
	return s.matched(a.Understanding, d), nil
}

// arrivalFor imagines the arrival that a dry run is about, with its facts under rules.
func (s *Server) arrivalFor(ctx context.Context, req MatchRequest, rules *policy.Compiled, now time.Time) (usher.Arrival, Timing, error) {
	a := usher.Arrival{Hints: req.Hints}
	var err error
	if a.Channel, err = s.matchChannel(ctx, req.Channel); err != nil {
		return usher.Arrival{}, Timing{}, err
	}
	if a.Customer, err = s.imagine(ctx, req.Customer); err != nil {
		return usher.Arrival{}, Timing{}, err
	}
	if !a.Customer.Anonymous && a.Customer.Version > 0 {
		if a.History, err = s.cfg.Store.History(ctx, a.Customer.ID, now); err != nil {
			return usher.Arrival{}, Timing{}, fmt.Errorf("read history: %w", err)
		}
	}
	var timing Timing
	if a.Understanding, a.Vector, timing, err = s.matchMeaning(ctx, &req); err != nil {
		return usher.Arrival{}, Timing{}, err
	}
	a.Facts = usher.TextFacts{Version: rules.Version(), Holds: rules.Text(req.Text)}
	a.Message = usher.Message{
		ID: "dry_run", Channel: a.Channel.ID, CustomerID: a.Customer.ID, Author: usher.ByCustomer, Sequence: 1,
		Text: req.Text, SentAt: now, ReceivedAt: now, Understanding: a.Understanding,
	}
	return a, timing, nil
}

// matched shows a dry run's decision.
func (s *Server) matched(u *usher.Understanding, d usher.Decision) MatchAnswer {
	v := s.showDecision(d)
	return MatchAnswer{
		Understanding: showUnderstanding(u), Outcome: d.Outcome, Reason: d.Reason, Queue: d.Queue, Tier: d.Tier,
		Rules: v.Rules, Funnel: v.Funnel, Candidates: v.Candidates, Chosen: d.Chosen, Margin: d.Margin,
		Versions: d.Versions, Counterfactual: v.Counterfactual, Degraded: d.Degraded,
	}
}

func (r *MatchRequest) check() error {
	if err := checkSize(r.Text, "text"); err != nil {
		return err
	}
	var f faults
	if blank(r.Text) == (len(r.Intents) == 0) {
		f.add("text", "required", "give either text or intents")
	}
	for i, in := range r.Intents {
		if in.Label == "" {
			f.add(fmt.Sprintf("intents[%d].label", i), "required", "label is required")
		}
		if in.Probability < 0 || in.Probability > 1 {
			f.add(fmt.Sprintf("intents[%d].probability", i), "out_of_range", "probability lies between 0 and 1")
		}
	}
	checkIdentities(r.Customer.Identities, "customer.identities", &f)
	checkAttributes(r.Customer.Attributes, "customer.attributes", &f)
	return f.err()
}

func (s *Server) matchChannel(ctx context.Context, id string) (usher.Channel, error) {
	if id != "" {
		return s.cfg.Store.ChannelByID(ctx, id)
	}
	all, err := s.cfg.Store.Channels(ctx)
	if err != nil {
		return usher.Channel{}, fmt.Errorf("list channels: %w", err)
	}
	if len(all) == 0 {
		return usher.Channel{ID: "web", Kind: usher.KindWeb}, nil
	}
	if i := slices.IndexFunc(all, func(ch usher.Channel) bool { return ch.ID == "web" }); i >= 0 {
		return all[i], nil
	}
	return all[0], nil
}

// imagine finds the customer by id, else by identity, else imagines one.
func (s *Server) imagine(ctx context.Context, r MatchCustomer) (usher.Customer, error) {
	customer := usher.Customer{ID: "dry_run", Anonymous: r.Attributes == nil}
	switch {
	case r.ID != "":
		found, err := s.cfg.Store.CustomerByID(ctx, r.ID)
		if err != nil {
			return usher.Customer{}, err
		}
		customer = found
	case len(r.Identities) > 0:
		found, err := s.cfg.Store.CustomersByIdentity(ctx, r.Identities)
		if err != nil {
			return usher.Customer{}, fmt.Errorf("find customer: %w", err)
		}
		if len(found) > 0 {
			customer = found[0]
		}
	}
	if len(r.Attributes) > 0 {
		customer.Attributes = maps.Clone(object(customer.Attributes))
		maps.Copy(customer.Attributes, r.Attributes)
	}
	if r.Tier != "" {
		customer.Manual, customer.CRMTier = nil, r.Tier
	}
	return customer, nil
}

func (s *Server) matchMeaning(ctx context.Context, r *MatchRequest) (*usher.Understanding, *usher.Vector, Timing, error) {
	if len(r.Intents) > 0 {
		u := assumed(r.Intents, r.Language)
		u.Model = s.cfg.Floor.Bundle().Model
		return u, nil, Timing{}, nil
	}
	us, vs, timing, err := s.cfg.Understander.Understand(ctx, []string{r.Text})
	if err != nil {
		return nil, nil, timing, err
	}
	u := us[0]
	if r.Language != "" {
		u.Language = usher.LanguageP{Tag: r.Language, Probability: 1}
	}
	return &u, vs[0], timing, nil
}

// assumed is an understanding made of given intents.
func assumed(intents []usher.IntentP, language string) *usher.Understanding {
	sorted := slices.SortedFunc(slices.Values(intents), func(a, b usher.IntentP) int {
		switch {
		case a.Probability > b.Probability:
			return -1
		case a.Probability < b.Probability:
			return 1
		default:
			return 0
		}
	})
	u := &usher.Understanding{Intents: sorted, Outcome: usher.OutcomeAccept, Source: "manual", Margin: sorted[0].Probability}
	if len(sorted) > 1 {
		u.Margin = math.Round((sorted[0].Probability-sorted[1].Probability)*1e6) / 1e6
	}
	if language != "" {
		u.Language = usher.LanguageP{Tag: language, Probability: 1}
	}
	return u
}
