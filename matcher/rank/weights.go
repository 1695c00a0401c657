package rank

import (
	"math"
	"slices"
)

// Weights are the coefficients of the terms, in value units unless said
// otherwise. The zero value stands for DefaultWeights.
type Weights struct {
	Fit        float64 // multiplies v·q; 1
	Load       float64 // at rho = 1
	Sticky     float64 // the last agent, just now; falls with e^(−days/7)
	OpenMatter float64 // holds an open matter of this customer, or had this very conversation
	Dedicated  float64 // the customer's dedicated agent; the greater of this and OpenMatter counts
	Language   float64 // would not understand the customer, when that is not certain enough to filter
	Generalist float64 // has no skills, when a generalist is asked for
	Prefer     float64 // has all preferred skills; a part of them earns a part
	Idle       float64 // idle for five minutes or more
	Slowness   float64 // per standard deviation of the first-reply time, at most two
	Declined   float64 // declined this conversation before
	Profile    float64 // logits per standard deviation of the cosine, at most two
}

// DefaultWeights returns the weights of a policy that sets none.
func DefaultWeights() Weights {
	return Weights{
		Fit: 1, Load: 0.3, Sticky: 0.10, OpenMatter: 0.25, Dedicated: 0.25, Language: 0.50, Generalist: 0.20,
		Prefer: 0.10, Idle: 0.03, Slowness: 0.05, Declined: 0.10, Profile: 0.8,
	}
}

// maxFactor bounds what a policy may multiply a weight with.
const maxFactor = 10

// WeightNames returns the names that a policy may use. Fit has none: the others
// are relative to it.
func WeightNames() []string {
	return []string{"load", "sticky", "open_matter", "dedicated", "language", "generalist", "prefer", "idle", "slowness", "declined", "profile"}
}

// WeightsFrom returns the default weights, each multiplied with the policy's
// factor of that name (1 changes nothing, 0 switches the term off), and,
// ascending, the names that are unknown or whose factor is not within 0 to 10;
// these change nothing.
func WeightsFrom(policy map[string]float64) (Weights, []string) {
	w := DefaultWeights()
	var bad []string
	for name, factor := range policy {
		p := w.named(name)
		if p == nil || math.IsNaN(factor) || factor < 0 || factor > maxFactor {
			bad = append(bad, name)
			continue
		}
		*p *= factor
	}
	slices.Sort(bad)
	return w, bad
}

// named returns the weight called name, or nil.
func (w *Weights) named(name string) *float64 {
	switch name {
	case "load":
		return &w.Load
	case "sticky":
		return &w.Sticky
	case "open_matter":
		return &w.OpenMatter
	case "dedicated":
		return &w.Dedicated
	case "language":
		return &w.Language
	case "generalist":
		return &w.Generalist
	case "prefer":
		return &w.Prefer
	case "idle":
		return &w.Idle
	case "slowness":
		return &w.Slowness
	case "declined":
		return &w.Declined
	case "profile":
		return &w.Profile
	default:
		return nil
	}
}

// bounded returns w with defaults for the zero value and every weight within 0
// to 10, so that no weight can make a score meaningless.
func (w Weights) bounded() Weights {
	if w == (Weights{}) {
		return DefaultWeights()
	}
	for _, p := range [...]*float64{
		&w.Fit, &w.Load, &w.Sticky, &w.OpenMatter, &w.Dedicated, &w.Language, &w.Generalist, &w.Prefer, &w.Idle, &w.Slowness, &w.Declined, &w.Profile,
	} {
		if !(*p >= 0) { // also NaN
			*p = 0
		}
		*p = min(*p, maxFactor)
	}
	return w
}
