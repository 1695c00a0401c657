package rank

import (
	"time"

	"usher"
)

// SeniorsFor is how long only seniors are asked for a customer whose tier is
// served dedicated first.
const SeniorsFor = 20 * time.Second

// Service narrows the first choices of a tier that is served dedicated first.
// The zero value asks everyone at once.
type Service struct {
	// DedicatedFirst asks Query.Dedicated before anybody else, whatever skill or
	// team the matter wants.
	DedicatedFirst bool
	// Seniors asks only seniors in these skills, and holds while none has room;
	// empty when their time is over, or nobody would be senior.
	Seniors []string
}

// Choose ranks stage by stage: the dedicated agent, seniors, everyone. It returns
// whom to ask and why, or "" and why nobody is asked now: hold, or a reason of
// [Table.Why]. r holds the ranking of the stage that decided. q comes back as it was.
func (t *Table) Choose(q *Query, r *Result, s Service) (agentID, reason string) {
	whole := *q
	if s.DedicatedFirst && q.Dedicated != "" {
		q.Only, q.Require, q.Team = q.Dedicated, nil, ""
		t.Rank(q, r)
		*q = whole
		if r.Eligible > 0 {
			return r.Order[0].AgentID, usher.ReasonDedicated
		}
	}
	if len(s.Seniors) > 0 {
		q.SeniorOnly, q.SeniorSkills = true, s.Seniors
		t.Rank(q, r)
		_, _, suitable := t.Eligible(q)
		*q = whole
		if r.Eligible > 0 {
			return r.Order[0].AgentID, usher.ReasonSenior
		}
		if suitable > 0 {
			return "", usher.ReasonHold
		}
	}
	if t.Rank(q, r); r.Eligible > 0 {
		return r.Order[0].AgentID, r.Reason()
	}
	return "", t.Why(q)
}

// Why says why Rank finds nobody for q: nobody_accepts (who could take it is
// excluded), no_agent_online, all_full or no_suitable_agent.
func (t *Table) Why(q *Query) string {
	online, withRoom, suitable := t.Eligible(q)
	switch {
	case withRoom > 0:
		return usher.ReasonExcluded
	case online == 0:
		return usher.ReasonNobodyOnline
	case suitable > 0:
		return usher.ReasonAllFull
	default:
		return usher.ReasonNoMatch
	}
}
