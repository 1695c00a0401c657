package rank

import "usher"

// MaxRejected bounds the rejected candidates that a decision keeps.
const MaxRejected = 20

// Funnel returns, filter by filter in the order of application, how many agents
// were left before and after.
func (r *Result) Funnel() []usher.FilterCount {
	left := 0
	for _, n := range r.failed {
		left += int(n)
	}
	rows := make([]usher.FilterCount, filterCount)
	for c := range code(filterCount) {
		rows[c] = usher.FilterCount{Filter: c.String(), Before: left, After: left - int(r.failed[c])}
		left = rows[c].After
	}
	return rows
}

// Left returns how many agents were left after a filter, by its name.
func (r *Result) Left(filter string) int {
	left := 0
	for c := codePass; c.String() != filter; c-- {
		left += int(r.failed[c])
		if c == 0 {
			break
		}
	}
	return left
}

// Candidates returns the scored candidates, best first, then at most MaxRejected
// rejected ones: those who came furthest through the filters first, then by id.
// Agents that only a pin leaves out are not listed. After a Put or Remove on the
// table only the scored ones are returned.
func (r *Result) Candidates() []usher.Candidate {
	all := make([]usher.Candidate, 0, len(r.Order)+MaxRejected)
	for i := range r.Order {
		row := &r.Order[i]
		c := usher.Candidate{AgentID: row.AgentID, Score: row.Score, Terms: make([]usher.Term, 0, TermCount)}
		for term, v := range row.Terms {
			if v != 0 || term <= TermLoad {
				c.Terms = append(c.Terms, usher.Term{Name: TermName(term), Value: v, Detail: row.Details[term]})
			}
		}
		all = append(all, c)
	}
	return r.rejected(all)
}

// rejected appends the rejected candidates.
func (r *Result) rejected(all []usher.Candidate) []usher.Candidate {
	t := r.table
	if t == nil || r.moves != t.moves {
		return all
	}
	var first [filterCount][MaxRejected]uint32
	var found [filterCount]int
	wanted := 0
	for c, n := range r.failed[:filterCount] {
		if code(c) != codePinned {
			wanted += min(int(n), MaxRejected)
		}
	}
	for _, s := range t.byID {
		if wanted == 0 {
			break
		}
		c := r.verdict[s]
		if c >= uint8(filterCount) || c == uint8(codePinned) || found[c] == MaxRejected {
			continue
		}
		first[c][found[c]] = s
		found[c]++
		wanted--
	}
	left := MaxRejected
	for c := filterCount - 1; c >= 0; c-- {
		for _, s := range first[c][:min(found[c], left)] {
			all = append(all, usher.Candidate{AgentID: t.ids[s], Terms: []usher.Term{}, Rejected: code(c).String()})
			left--
		}
	}
	return all
}

// Reason says why the first stands first: the selection, or, under best_fit, that
// he is the dedicated agent, that stickiness decided, or that seniors were asked
// for. It is "" without a candidate.
func (r *Result) Reason() string {
	if len(r.top) == 0 {
		return ""
	}
	p, first := &r.plan, r.top[0]
	marks := p.marks[first.slot]
	switch {
	case marks&markDedicated != 0:
		return usher.ReasonDedicated
	case first.tier == tierBack:
		return usher.ReasonSticky
	case p.selection != usher.SelectBestFit && p.selection != "":
		return string(p.selection)
	case r.decidedBy(TermStickiness):
		return usher.ReasonSticky
	case r.senior:
		return usher.ReasonSenior
	default:
		return usher.ReasonBestFit
	}
}

// decidedBy reports whether the first would not be first without a term of his.
func (r *Result) decidedBy(term int) bool {
	v := r.Order[0].Terms[term]
	if v <= 0 {
		return false
	}
	return len(r.Order) > 1 && v > r.Margin
}

// Counterfactual returns the smallest change that would have chosen another
// agent, nil when there is none to choose: the term in which the second is
// furthest behind the first, and how much more of it he would have needed.
func (r *Result) Counterfactual() *usher.Flip {
	p := &r.plan
	if len(r.Order) < 2 || (p.selection != usher.SelectBestFit && p.selection != "") {
		return nil
	}
	first, second := &r.Order[0], &r.Order[1]
	worst, behind := TermFit, usher.Micro(0)
	for term := range TermCount {
		if d := first.Terms[term] - second.Terms[term]; d > behind {
			worst, behind = term, d
		}
	}
	by := r.Margin
	if first.AgentID < second.AgentID {
		by++ // a tie would go to the first
	}
	return &usher.Flip{AgentID: second.AgentID, Term: TermName(worst), By: by}
}
