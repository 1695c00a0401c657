package rank

import (
	"math"
	"slices"
)

// Weights are the coefficients of the terms, in value units unless said
// otherwise. The zero value stands for DefaultWeights.
type Weights struct {
	Fit       float64 // multiplies v·q
	Load      float64 // at rho = 1
	Last      float64 // the last agent, just now; falls with e^(−days/7)
	Open      float64 // holds an open matter of this customer, or held this conversation
	Dedicated float64 // the customer's dedicated agent; not added to Open
	Prefer    float64 // has all preferred skills; a part of them earns a part
	Idle      float64 // idle for five minutes or more
	Slowness  float64 // per standard deviation of the first-reply time, at most two
	Declined  float64 // declined this conversation before
}

// DefaultWeights returns the weights of a policy that sets none.
func DefaultWeights() Weights {
	return Weights{
		Fit: 1, Load: 0.3, Last: 0.10, Open: 0.25, Dedicated: 0.25,
		Prefer: 0.10, Idle: 0.03, Slowness: 0.05, Declined: 0.10,
	}
}

// maxWeight bounds every weight: ten ordinary conversations.
const maxWeight = 10

// WeightNames returns the names that a policy may use, ascending.
func WeightNames() []string {
	return []string{"declined", "dedicated", "fit", "idle", "last", "load", "open", "prefer", "slowness"}
}

// WeightsFrom returns the default weights with those of a policy in their
// places, and, ascending, the names that are unknown or whose value is not
// within 0 to 10; these change nothing.
func WeightsFrom(policy map[string]float64) (Weights, []string) {
	w := DefaultWeights()
	var bad []string
	for name, v := range policy {
		p := w.named(name)
		if p == nil || math.IsNaN(v) || v < 0 || v > maxWeight {
			bad = append(bad, name)
			continue
		}
		*p = v
	}
	slices.Sort(bad)
	return w, bad
}

// named returns the weight called name, or nil.
func (w *Weights) named(name string) *float64 {
	switch name {
	case "fit":
		return &w.Fit
	case "load":
		return &w.Load
	case "last":
		return &w.Last
	case "open":
		return &w.Open
	case "dedicated":
		return &w.Dedicated
	case "prefer":
		return &w.Prefer
	case "idle":
		return &w.Idle
	case "slowness":
		return &w.Slowness
	case "declined":
		return &w.Declined
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
	for _, name := range WeightNames() {
		p := w.named(name)
		if !(*p >= 0) { // also NaN
			*p = 0
		}
		*p = min(*p, maxWeight)
	}
	return w
}
