package rank

import "slices"

// Exhaustive ranks as Table.Rank does, but values every agent who passes and
// sorts them all: the reference for the two-stage search. It serves best_fit.
func Exhaustive(t *Table, q *Query) []Row {
	var r Result
	all := *q
	all.Top = len(t.ids)
	p := &r.plan
	p.filters(t, &all)
	p.values(t, &all)
	p.rows(t)
	r.table = t
	r.filter(t)
	for _, s := range r.passed {
		quality, _ := p.quality(t, s)
		r.top = append(r.top, entry{slot: s, score: p.fitTerm(quality) + p.others(t, s)})
	}
	slices.SortFunc(r.top, func(a, b entry) int {
		if t.before(a, b) {
			return -1
		}
		return 1
	})
	r.fill(t, &all)
	return r.Order
}

// Exp is exp.
func Exp(x float64) float64 { return exp(x) }
