package api

import (
	"context"
	"fmt"

	"usher"
)

// Decision is a decision as clients see it, with its Counterfactual put into words.
type Decision struct {
	usher.Decision
	Counterfactual *Counterfactual `json:"counterfactual,omitempty"`
}

// Counterfactual is the smallest change that would have chosen another agent.
type Counterfactual struct {
	ZH      string      `json:"zh"`
	EN      string      `json:"en"`
	AgentID string      `json:"agent_id"`
	Term    string      `json:"term"`
	By      usher.Micro `json:"by"`
}

func (s *Server) showDecision(d usher.Decision) Decision {
	d.Rules, d.Funnel = list(d.Rules), list(d.Funnel)
	d.Understanding = showUnderstanding(d.Understanding)
	candidates := make([]usher.Candidate, len(d.Candidates))
	for i, k := range d.Candidates {
		k.Terms = list(k.Terms)
		candidates[i] = k
	}
	d.Candidates = candidates
	v := Decision{Decision: d}
	if d.Counterfactual != nil {
		v.Counterfactual = s.say(*d.Counterfactual)
	}
	return v
}

// say puts a flip into both languages.
func (s *Server) say(f usher.Flip) *Counterfactual {
	name := f.AgentID
	for _, a := range s.cfg.Floor.Live().Agents {
		if a.ID == f.AgentID && a.Name != "" {
			name = a.Name
		}
	}
	by := fmt.Sprintf("%.3f", f.By.Float())
	zh, en := termName(f.Term)
	return &Counterfactual{
		ZH:      fmt.Sprintf("如果%s的“%s”一项再高 %s，就会选择%s。", name, zh, by, name),
		EN:      fmt.Sprintf("%s would have been chosen if the term %q had been %s higher.", name, en, by),
		AgentID: f.AgentID, Term: f.Term, By: f.By,
	}
}

// termName is what people call a score term.
func termName(term string) (zh, en string) {
	switch term {
	case "fit":
		return "匹配度", "fit"
	case "load":
		return "负载", "load"
	case "stickiness":
		return "熟悉度", "stickiness"
	case "idle":
		return "空闲时间", "idle time"
	case "slowness":
		return "响应速度", "response speed"
	case "declined":
		return "拒绝记录", "declined offers"
	default:
		return term, term
	}
}

func (s *Server) getDecision(ctx context.Context, c *call) (Decision, error) {
	d, err := s.cfg.Store.DecisionByID(ctx, c.param("id"))
	if err != nil {
		return Decision{}, err
	}
	if own := c.onlyAgent(); own != "" {
		if _, err := s.conversationFor(ctx, c, d.ConversationID); err != nil {
			return Decision{}, err
		}
	}
	return s.showDecision(d), nil
}

func (s *Server) listDecisions(ctx context.Context, c *call) (page[Decision], error) {
	var f faults
	p := c.pageOf(&f)
	if err := f.err(); err != nil {
		return page[Decision]{}, err
	}
	if _, err := s.conversationFor(ctx, c, c.param("id")); err != nil {
		return page[Decision]{}, err
	}
	rows, next, err := s.cfg.Store.DecisionsByConversation(ctx, c.param("id"), p)
	if err != nil {
		return page[Decision]{}, err
	}
	views := make([]Decision, len(rows))
	for i, d := range rows {
		views[i] = s.showDecision(d)
	}
	return paged(views, next), nil
}
