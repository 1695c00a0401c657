package inference

import (
	"cmp"
	"math"
	"slices"

	"usher"
	"usher/models"
)

// rule turns logits into a calibrated distribution and an outcome, as a bundle's
// manifest says.
type rule struct {
	labels      []models.Label
	temperature float64
	thresholds  []float64 // by label; above 1 = never accepted
	margin      float64
	clarify     models.Clarify
	outOfScope  int // index, or -1
	limit       float64
}

func newRule(m *models.Manifest, labels []models.Label) rule {
	r := rule{labels: labels, temperature: m.Temperature, margin: m.Margin, clarify: m.Clarify, outOfScope: -1, limit: m.OutOfScope.Limit}
	for i, l := range labels {
		t, ok := m.Thresholds[l.Label]
		if !ok {
			t = 2
		}
		r.thresholds = append(r.thresholds, t)
		if l.Label == m.OutOfScope.Label {
			r.outOfScope = i
		}
	}
	return r
}

// softmax returns the calibrated distribution of logits. Logits that are no
// numbers, or infinite, give no distribution: ok is false.
func softmax[F float32 | float64](logits []F, temperature float64) (p []float64, ok bool) {
	if len(logits) == 0 || !(temperature > 0) {
		return nil, false
	}
	top := math.Inf(-1)
	for _, x := range logits {
		v := float64(x)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, false
		}
		top = max(top, v)
	}
	p = make([]float64, len(logits))
	sum := 0.0
	for i, x := range logits {
		p[i] = math.Exp((float64(x) - top) / temperature) // at most 1, so the sum cannot overflow
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p, true
}

// apply fills the parts of an understanding that the distribution decides:
//   - accept: the first label reaches its threshold and leads by the margin, and
//     out of scope stays below its limit;
//   - clarify: two or three labels one can act upon hold the mass together, none
//     of them below the least share;
//   - abstain: all else.
func (r *rule) apply(p []float64, u *usher.Understanding) {
	u.Intents = make([]usher.IntentP, len(p))
	order := make([]int, len(p))
	for i := range p {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[b], p[a]) })
	for k, i := range order {
		u.Intents[k] = usher.IntentP{Label: r.labels[i].Label, Probability: p[i]}
	}
	first := order[0]
	u.Margin = p[first]
	if len(order) > 1 {
		u.Margin -= p[order[1]]
	}
	if r.outOfScope >= 0 {
		u.OutOfScope = p[r.outOfScope]
	}
	u.Outcome = usher.OutcomeAbstain
	switch {
	case r.outOfScope >= 0 && u.OutOfScope >= r.limit:
	case p[first] >= r.thresholds[first] && u.Margin >= r.margin:
		u.Outcome = usher.OutcomeAccept
	case r.choices(p, order) >= 2:
		u.Outcome = usher.OutcomeClarify
	}
}

// choices returns how many of the first labels a question would offer, 0 if none.
func (r *rule) choices(p []float64, order []int) int {
	n, mass := 0, 0.0
	for _, i := range order {
		if !r.labels[i].Actionable {
			continue
		}
		if n == r.clarify.MaxChoices || p[i] < r.clarify.Min {
			break
		}
		n, mass = n+1, mass+p[i]
		if n >= 2 && mass >= r.clarify.Mass {
			return n
		}
	}
	return 0
}
