package api

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/matcher/policy"
)

// TryRequest asks what a message would meet under a policy that need not serve.
type TryRequest struct {
	Document   json.RawMessage `json:"document,omitempty"` // absent = the draft, else the serving policy
	Text       string          `json:"text"`
	Channel    string          `json:"channel,omitempty"` // defaults to web
	Tier       string          `json:"tier,omitempty"`
	CustomerID string          `json:"customer_id,omitempty"`
	Attributes map[string]any  `json:"attributes,omitempty"`
	Language   string          `json:"language,omitempty"`
	At         *time.Time      `json:"at,omitempty"` // defaults to now
}

// TryAnswer is the decision that would be made, by the code that decides, with
// what of the policy had a part in it.
type TryAnswer struct {
	MatchAnswer
	Policy       TriedPolicy      `json:"policy"`
	At           time.Time        `json:"at"`
	Agent        *usher.AgentRef  `json:"agent"`
	Rules        []TriedRule      `json:"rules"`         // that held or could not be evaluated, in their order
	KeywordLists []policy.ListHit `json:"keyword_lists"` // found in the text
	Hours        *TriedHours      `json:"hours"`         // of the queue; null = always open
	Bot          *TriedBot        `json:"bot"`           // null = a person at once
	Overflow     []TriedOverflow  `json:"overflow"`      // rows for this queue and channel
}

// TriedPolicy says by which policy was decided.
type TriedPolicy struct {
	Source  string `json:"source"`  // document | draft | serving
	Version int    `json:"version"` // the serving one, also beneath a draft
}

// TriedRule is a rule that held, or failed. Row counts from 1. Matches are the
// phrases of the rule's own conditions.
type TriedRule struct {
	usher.RuleHit
	Name    string             `json:"name"`
	Row     int                `json:"row"`
	Matches []policy.PhraseHit `json:"matches"`
}

// TriedHours is how the queue's calendar stands.
type TriedHours struct {
	Calendar  string     `json:"calendar"`
	Open      bool       `json:"open"`
	ChangesAt *time.Time `json:"changes_at"`
}

// TriedBot says why the bot would answer first: low_value, or rule:<id>.
type TriedBot struct {
	Why string `json:"why"`
}

// TriedOverflow is a row of the matrix: whether it would act now, could later, or
// does not.
type TriedOverflow struct {
	usher.Overflow
	Path string `json:"path"`
	Acts string `json:"acts"` // now | later | no
}

// tryPolicy decides under the given document, the draft, or the serving policy,
// against the floor as it is.
func (s *Server) tryPolicy(ctx context.Context, c *call, req TryRequest) (TryAnswer, error) {
	if err := checkSize(req.Text, "text"); err != nil {
		return TryAnswer{}, err
	}
	out := TryAnswer{At: s.cfg.Now().UTC()}
	if req.At != nil {
		out.At = req.At.UTC()
	}
	compiled, err := s.tried(ctx, &req, &out)
	if err != nil {
		return TryAnswer{}, err
	}
	var f faults
	if blank(req.Text) {
		f.add("text", "required", "text is required")
	}
	if y := out.At.Year(); y < 1970 || y > 2999 {
		f.add("at", "out_of_range", "at lies in the years 1970 to 2999")
	}
	if req.Tier != "" && !compiled.HasTier(req.Tier) {
		f.add("tier", "unknown_reference", "the policy has the tiers "+strings.Join(compiled.Tiers(), ", "))
	}
	checkAttributes(req.Attributes, "attributes", &f)
	if err := f.err(); err != nil {
		return TryAnswer{}, err
	}
	a, timing, err := s.arrivalFor(ctx, MatchRequest{
		Text: req.Text, Channel: req.Channel, Language: req.Language,
		Customer: MatchCustomer{ID: req.CustomerID, Tier: req.Tier, Attributes: req.Attributes},
	}, compiled, out.At)
	if err != nil {
		return TryAnswer{}, err
	}
	c.timing(timing)
	at := time.Time{}
	if req.At != nil {
		at = out.At
	}
	d, err := s.cfg.Floor.Try(ctx, compiled, at, a)
	if err != nil {
		return TryAnswer{}, err
	}
	out.MatchAnswer = s.matched(a.Understanding, d)
	out.explain(compiled, req.Text, a.Channel, d)
	if d.Chosen != "" {
		out.Agent = &usher.AgentRef{ID: d.Chosen, Name: s.liveName(d.Chosen)}
	}
	return out, nil
}

// tried compiles the policy that is tried.
func (s *Server) tried(ctx context.Context, req *TryRequest, out *TryAnswer) (*policy.Compiled, error) {
	serving := s.cfg.Floor.Policy()
	out.Policy = TriedPolicy{Source: "serving", Version: serving.Version()}
	if len(req.Document) > 0 && string(req.Document) != "null" {
		p, found := readPolicy(req.Document)
		if len(found) > 0 {
			return nil, wrongPolicy(found)
		}
		out.Policy.Source = "document"
		return s.compiled(p)
	}
	d, ok, err := s.cfg.Store.Draft(ctx)
	if err != nil {
		return nil, err
	}
	if !ok {
		return serving, nil
	}
	out.Policy.Source = "draft"
	return s.compiled(d.Document)
}

func (s *Server) compiled(p usher.Policy) (*policy.Compiled, error) {
	compiled, found := policy.Compile(usher.PolicyVersion{Version: s.cfg.Floor.Policy().Version(), Document: p})
	if len(found) > 0 {
		return nil, wrongPolicy(found)
	}
	return compiled, nil
}

func (s *Server) liveName(id string) string {
	for _, a := range s.cfg.Floor.Live().Agents {
		if a.ID == id {
			return a.Name
		}
	}
	return ""
}

// explain adds what of the policy had a part in d.
func (t *TryAnswer) explain(p *policy.Compiled, text string, channel usher.Channel, d usher.Decision) {
	doc := p.Document()
	t.Rules = []TriedRule{}
	for _, hit := range d.Rules {
		i := slices.IndexFunc(doc.Rules, func(r usher.Rule) bool { return r.ID == hit.ID })
		if i < 0 {
			continue
		}
		r := &doc.Rules[i]
		t.Rules = append(t.Rules, TriedRule{RuleHit: hit, Name: r.Name, Row: i + 1, Matches: ownPhrases(r.When, text)})
		if r.Then.BotFirst && hit.Error == "" && t.Bot == nil {
			t.Bot = &TriedBot{Why: "rule:" + r.ID}
		}
	}
	if p.Tier(d.Tier).Service == usher.ServiceBotFirst {
		t.Bot = &TriedBot{Why: usher.ReasonLowValue}
	}
	t.KeywordLists = p.KeywordHits(text)
	if t.Understanding != nil {
		t.Understanding.Keywords = p.Keywords(text)
	}
	q, ok := p.Queue(d.Queue)
	if !ok || d.Outcome == string(usher.StateBlocked) {
		t.Bot, t.Overflow = nil, []TriedOverflow{}
		return
	}
	open := true
	if q.Hours != "" {
		var change time.Time
		open, change = p.Open(q.Hours, t.At)
		t.Hours = &TriedHours{Calendar: q.Hours, Open: open}
		if !change.IsZero() {
			change = change.UTC()
			t.Hours.ChangesAt = &change
		}
	}
	t.Overflow = triedOverflow(doc, q.ID, channel, d, open)
}

func triedOverflow(doc usher.Policy, queue string, channel usher.Channel, d usher.Decision, open bool) []TriedOverflow {
	waits := d.Outcome == string(usher.StateQueued)
	holds := map[usher.OverflowWhen]bool{
		usher.WhenOutOfHours:   !open,
		usher.WhenNobodyOnline: waits && (d.Reason == usher.ReasonNobodyOnline || d.Reason == usher.ReasonNoMatch),
		usher.WhenBusy:         waits && (d.Reason == usher.ReasonAllFull || d.Reason == usher.ReasonExcluded),
	}
	out := []TriedOverflow{}
	add := func(path string, rows []usher.Overflow) {
		for i, o := range rows {
			if o.Channel != "" && o.Channel != channel.ID && o.Channel != string(channel.Kind) {
				continue
			}
			acts := "no"
			switch {
			case o.When == usher.WhenTooLong && waits, holds[o.When] && o.AfterS > 0:
				acts = "later"
			case holds[o.When]:
				acts = "now"
			}
			out = append(out, TriedOverflow{Overflow: o, Path: fmt.Sprintf("%soverflow[%d]", path, i), Acts: acts})
		}
	}
	for i, q := range doc.Queues {
		if q.ID == queue {
			add(fmt.Sprintf("queues[%d].", i), q.Overflow)
		}
	}
	add("", doc.Overflow)
	return out
}

// ownPhrases finds the phrases that a rule's own conditions look for.
func ownPhrases(c *usher.Condition, text string) []policy.PhraseHit {
	hits := []policy.PhraseHit{}
	if c == nil {
		return hits
	}
	for _, group := range [][]usher.Condition{c.All, c.Any} {
		for i := range group {
			hits = append(hits, ownPhrases(&group[i], text)...)
		}
	}
	if c.Field != "message.text" || c.Op != "contains_any" {
		return hits
	}
	var l usher.KeywordList
	switch v := c.Value.(type) {
	case string:
		l.Phrases = []string{v}
	case []any:
		for _, x := range v {
			if s, ok := x.(string); ok {
				l.Phrases = append(l.Phrases, s)
			}
		}
	}
	return append(hits, policy.FindPhrases(l, text).Matches...)
}

// KeywordsRequest asks what a keyword list finds in a text.
type KeywordsRequest struct {
	List usher.KeywordList `json:"list"` // its name may be left out
	Text string            `json:"text"`
}

// KeywordsAnswer says where the phrases stand, in bytes of the text. Masked are
// the exceptions that were found; Held is whether the list holds.
type KeywordsAnswer struct {
	Matches []policy.PhraseHit `json:"matches"`
	Masked  []policy.PhraseHit `json:"masked"`
	Held    bool               `json:"held"`
}

func (s *Server) tryKeywords(_ context.Context, _ *call, req KeywordsRequest) (KeywordsAnswer, error) {
	if err := checkSize(req.Text, "text"); err != nil {
		return KeywordsAnswer{}, err
	}
	h := policy.FindPhrases(req.List, req.Text)
	return KeywordsAnswer{Matches: h.Matches, Masked: h.Masked, Held: h.Held}, nil
}

// known reads what a policy is held against.
func (s *Server) known(ctx context.Context) (policy.Known, error) {
	var k policy.Known
	page := usher.Page{Limit: 100}
	for {
		agents, _, next, err := s.cfg.Store.Agents(ctx, page)
		if err != nil {
			return policy.Known{}, fmt.Errorf("list agents: %w", err)
		}
		k.Agents = append(k.Agents, agents...)
		if next == "" {
			break
		}
		page.Cursor = next
	}
	channels, err := s.cfg.Store.Channels(ctx)
	if err != nil {
		return policy.Known{}, fmt.Errorf("list channels: %w", err)
	}
	k.Channels = channels
	return k, nil
}

type hitsAnswer struct {
	Days int            `json:"days"`
	Hits map[string]int `json:"hits"`
}

// policyHits counts for how many conversations each rule has held lately.
func (s *Server) policyHits(ctx context.Context, c *call) (hitsAnswer, error) {
	out := hitsAnswer{Days: 7}
	if v := c.query.Get("days"); v != "" {
		n, err := number("query.days", v)
		if err != nil {
			return hitsAnswer{}, err
		}
		if n < 1 || n > 90 {
			return hitsAnswer{}, usher.Errorf(usher.InvalidArgument, "days is from 1 to 90").At("query.days")
		}
		out.Days = n
	}
	var err error
	out.Hits, err = s.cfg.Store.RuleHits(ctx, s.cfg.Now().AddDate(0, 0, -out.Days))
	return out, err
}
