package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/matcher/floor"
	"usher/matcher/policy"
	"usher/report"
)

// Bounds of a replay.
const (
	replayDays  = 31
	replayMost  = 50_000 // conversations; beyond, as many are taken evenly
	replayShown = 200    // conversations that would change
)

// ReplayRequest asks what a policy would have done with the conversations that
// began from From (inclusive) to To.
type ReplayRequest struct {
	From     time.Time       `json:"from"`
	To       time.Time       `json:"to"`
	Document json.RawMessage `json:"document,omitempty"` // absent = the draft, else the serving policy
}

// ReplayAnswer compares two policies on the same conversations: the serving one,
// which is "before" whatever served then, and the one that is tried. Shares are
// of the conversations considered without the unknown ones.
type ReplayAnswer struct {
	From          time.Time           `json:"from"`
	To            time.Time           `json:"to"`
	Policy        TriedPolicy         `json:"policy"`
	Total         int                 `json:"total"`      // conversations that began or came back
	Considered    int                 `json:"considered"` // of them; not those that somebody reopened by hand
	Sampled       bool                `json:"sampled"`    // not all of them
	Unknown       int                 `json:"unknown"`    // the result hangs on what is not known any more
	Changed       int                 `json:"changed"`    // placed otherwise in any way
	Elsewhere     int                 `json:"elsewhere"`  // of them: another queue, agent or team, the bot, or refused
	Days          int                 `json:"days"`       // with conversations; each is 24 hours from from
	Figures       []report.Compared   `json:"figures"`
	HeldConstant  []string            `json:"held_constant"`
	NotPredicted  []string            `json:"not_predicted"`
	Conversations []ReplayedPlacement `json:"conversations"` // the newest that change, first those that go elsewhere; at most 200
}

// ReplayedPlacement is one conversation under both policies.
type ReplayedPlacement struct {
	ConversationID string          `json:"conversation_id"`
	At             time.Time       `json:"at"`
	Channel        string          `json:"channel"`
	Tier           string          `json:"tier"` // as it was
	Differs        []string        `json:"differs"`
	Before         floor.Placement `json:"before"`
	After          floor.Placement `json:"after"`
}

// replayPolicy places past conversations under two policies, by the code that
// routes. One at a time: it is work for a core, and others route meanwhile.
func (s *Server) replayPolicy(ctx context.Context, _ *call, req ReplayRequest) (ReplayAnswer, error) {
	if err := req.check(); err != nil {
		return ReplayAnswer{}, err
	}
	tried := TryRequest{Document: req.Document}
	var source TryAnswer
	after, err := s.tried(ctx, &tried, &source)
	if err != nil {
		return ReplayAnswer{}, err
	}
	select {
	case s.replaying <- struct{}{}:
		defer func() { <-s.replaying }()
	case <-ctx.Done():
		return ReplayAnswer{}, ctx.Err()
	}
	from, to := req.From.UTC(), req.To.UTC()
	r := newReplay(from, to, s.cfg.Floor.Policy(), after, s.cfg.Floor.Bundle())
	r.out.Policy = source.Policy
	if r.out.Total, err = s.cfg.Store.CountOpenings(ctx, from, to); err != nil {
		return ReplayAnswer{}, err
	}
	r.out.Sampled = r.out.Total > replayMost
	q := usher.OpeningQuery{From: from, To: to, Texts: r.before.policy.AsksText() || after.AsksText()}
	if r.out.Sampled {
		q.Take, q.Of = replayMost, r.out.Total
	}
	err = s.cfg.Store.Openings(ctx, q, func(o *usher.Opening) error {
		r.add(o)
		return ctx.Err()
	})
	if err != nil {
		return ReplayAnswer{}, err
	}
	return r.answer(), nil
}

func (r *ReplayRequest) check() error {
	var f faults
	year := func(path string, at time.Time) bool {
		switch y := at.UTC().Year(); {
		case at.IsZero():
			f.add(path, "required", path+" is required")
		case y < 1970 || y > 2200:
			f.add(path, "out_of_range", path+" lies in the years 1970 to 2200")
		default:
			return true
		}
		return false
	}
	good := year("from", r.From)
	if good = year("to", r.To) && good; good {
		switch d := r.To.Sub(r.From); {
		case d <= 0:
			f.add("to", "out_of_range", "to lies after from")
		case d > replayDays*24*time.Hour:
			f.add("from", "out_of_range", "at most 31 days are replayed at once")
		}
	}
	return f.err()
}

// side is one of the two policies.
type side struct {
	policy *policy.Compiled
	placer *floor.Placer
}

// place tells where the policy puts a conversation; false = it cannot be known.
func (p *side) place(o *usher.Opening) (floor.Placement, bool) {
	turns := make([]floor.Turn, len(o.Said))
	gone := false
	var text []string
	for i := range o.Said {
		m := &o.Said[i]
		gone = gone || m.Gone
		if m.Text != "" {
			text = append(text, m.Text)
		}
		a := m.Arrival
		a.Facts = usher.TextFacts{Version: p.policy.Version(), Holds: p.policy.Text(strings.Join(text, "\n"))}
		turns[i] = floor.Turn{At: m.At, Arrival: a, Asked: m.Asked}
	}
	return p.placer.Place(turns, o.Unanswered, gone)
}

// replay is one that runs. It is pure: conversations in, figures out.
type replay struct {
	before, after side
	figures       *report.Comparison
	elsewhere     []ReplayedPlacement // of which the newest are kept
	others        []ReplayedPlacement
	out           ReplayAnswer
}

func newReplay(from, to time.Time, before, after *policy.Compiled, b usher.Bundle) *replay {
	days := int((to.Sub(from) + 24*time.Hour - 1) / (24 * time.Hour))
	r := &replay{
		before:  side{policy: before, placer: floor.NewPlacer(before, b)},
		after:   side{policy: after, placer: floor.NewPlacer(after, b)},
		figures: report.NewComparison(days),
		out: ReplayAnswer{
			From: from, To: to,
			HeldConstant: []string{"arrivals", "customers", "understanding", "questions_and_answers", "faq"},
			NotPredicted: []string{"presence", "later_messages", "transfers", "waits", "service_level", "overflow"},
		},
	}
	r.figures.Expect(report.Trait{Name: "blocked"}, report.Trait{Name: "bot_first"}, report.Trait{Name: "dedicated"})
	return r
}

func (r *replay) add(o *usher.Opening) {
	r.out.Considered++
	before, sure := r.before.place(o)
	after, too := r.after.place(o)
	if !sure || !too {
		r.out.Unknown++
		return
	}
	r.figures.Add(int(o.At.Sub(r.out.From)/(24*time.Hour)), before.Tier, traits(&before), traits(&after))
	differs := before.Differences(&after)
	if len(differs) == 0 {
		return
	}
	r.out.Changed++
	first := &o.Said[0].Arrival
	row := ReplayedPlacement{
		ConversationID: o.ConversationID, At: o.At, Channel: first.Channel.ID, Tier: before.Tier, Differs: differs, Before: before, After: after,
	}
	if slices.ContainsFunc(differs, func(d string) bool { return slices.Contains([]string{"outcome", "queue", "agent", "team"}, d) }) {
		r.out.Elsewhere++
		r.elsewhere = newest(r.elsewhere, row)
		return
	}
	r.others = newest(r.others, row)
}

// newest appends and forgets the oldest beyond what is shown, now and then.
func newest(list []ReplayedPlacement, row ReplayedPlacement) []ReplayedPlacement {
	if len(list) == 2*replayShown {
		list = append(list[:0], list[replayShown:]...)
	}
	return append(list, row)
}

// traits are the figures in which a placement is counted.
func traits(p *floor.Placement) []report.Trait {
	var out []report.Trait
	both := func(name string) { out = append(out, report.Trait{Name: name}, report.Trait{Name: name, Tier: p.Tier}) }
	if p.Queue != "" {
		out = append(out, report.Trait{Name: "queue", Key: p.Queue})
	}
	switch p.Outcome {
	case string(usher.StateBlocked):
		both("blocked")
	case string(usher.StateBot):
		both("bot_first")
	}
	switch {
	case p.AgentBy == usher.ReasonDedicated:
		both("dedicated")
	case p.Agent != "":
		out = append(out, report.Trait{Name: "agent", Key: p.Agent})
	}
	if p.Team != "" {
		out = append(out, report.Trait{Name: "team", Key: p.Team})
	}
	if p.Closed {
		both("closed")
	}
	if p.HeadStartS > 0 {
		both("head_start")
	}
	return out
}

// figureNames is the order in which figures are told.
func figureNames() []string {
	return []string{"queue", "blocked", "bot_first", "dedicated", "closed", "agent", "team", "head_start"}
}

func (r *replay) answer() ReplayAnswer {
	r.out.Days = r.figures.Days()
	r.out.Figures = r.figures.Figures(figureNames(), 1)
	slices.Reverse(r.elsewhere)
	slices.Reverse(r.others)
	list := slices.Concat(r.elsewhere[:min(len(r.elsewhere), replayShown)], r.others[:min(len(r.others), replayShown)])
	r.out.Conversations = list[:min(len(list), replayShown)]
	if r.out.Conversations == nil {
		r.out.Conversations = []ReplayedPlacement{}
	}
	return r.out
}
