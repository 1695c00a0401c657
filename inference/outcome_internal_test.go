package inference

import (
	"math"
	"testing"

	"usher"
	"usher/models"
)

func testRule() rule {
	m := &models.Manifest{
		Temperature: 1, Thresholds: map[string]float64{"a": 0.5, "b": 0.6, "talk": 0.5}, Margin: 0.2,
		Clarify: models.Clarify{Mass: 0.8, Min: 0.2, MaxChoices: 3}, OutOfScope: models.OutOfScope{Label: "other", Limit: 0.4},
	}
	labels := []models.Label{
		{Label: "a", Actionable: true},
		{Label: "b", Actionable: true},
		{Label: "c", Actionable: true},
		{Label: "talk"},
		{Label: "other"},
	}
	return newRule(m, labels)
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	r := testRule()
	for name, c := range map[string]struct {
		p    []float64
		want usher.Outcome
	}{
		"sure":                                    {[]float64{0.9, 0.05, 0.03, 0.01, 0.01}, usher.OutcomeAccept},
		"at the threshold":                        {[]float64{0.5, 0.15, 0.15, 0.1, 0.1}, usher.OutcomeAccept},
		"below its own threshold":                 {[]float64{0.1, 0.55, 0.15, 0.1, 0.1}, usher.OutcomeAbstain},
		"no threshold, never accepted":            {[]float64{0, 0, 1, 0, 0}, usher.OutcomeAbstain},
		"not actionable, accepted":                {[]float64{0.1, 0.1, 0.1, 0.7, 0}, usher.OutcomeAccept},
		"two that share":                          {[]float64{0.52, 0.4, 0.03, 0.03, 0.02}, usher.OutcomeClarify},
		"three that share":                        {[]float64{0.3, 0.3, 0.3, 0.05, 0.05}, usher.OutcomeClarify},
		"two that hold too little":                {[]float64{0.3, 0.3, 0.15, 0.15, 0.1}, usher.OutcomeAbstain},
		"a second one too small":                  {[]float64{0.45, 0.19, 0.19, 0.1, 0.07}, usher.OutcomeAbstain},
		"small talk between two does not stop it": {[]float64{0.42, 0.38, 0, 0.2, 0}, usher.OutcomeClarify},
		"out of scope":                            {[]float64{0.55, 0.02, 0.02, 0.01, 0.4}, usher.OutcomeAbstain},
		"only out of scope":                       {[]float64{0, 0, 0, 0, 1}, usher.OutcomeAbstain},
	} {
		var u usher.Understanding
		r.apply(c.p, &u)
		if u.Outcome != c.want {
			t.Errorf("%s: %s, want %s", name, u.Outcome, c.want)
		}
		if u.OutOfScope != c.p[4] || len(u.Intents) != 5 || u.Margin != u.Intents[0].Probability-u.Intents[1].Probability {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

// Trap: wide logits. Any finite ones give a distribution, others give none.
func TestSoftmax(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		logits      []float32
		temperature float64
		ok          bool
	}{
		"ordinary":          {[]float32{1, 2, 3}, 1.3, true},
		"wide":              {[]float32{math.MaxFloat32, -math.MaxFloat32, 0}, 1, true},
		"wide and cold":     {[]float32{math.MaxFloat32, math.MaxFloat32, 0}, 1e-300, true},
		"all alike":         {[]float32{-1e30, -1e30, -1e30}, 1, true},
		"not a number":      {[]float32{1, float32(math.NaN()), 3}, 1, false},
		"infinite":          {[]float32{1, float32(math.Inf(1)), 3}, 1, false},
		"minus infinite":    {[]float32{1, float32(math.Inf(-1)), 3}, 1, false},
		"none":              {nil, 1, false},
		"no temperature":    {[]float32{1, 2}, 0, false},
		"no number as such": {[]float32{1, 2}, math.NaN(), false},
	} {
		p, ok := softmax(c.logits, c.temperature)
		if ok != c.ok {
			t.Errorf("%s: ok %v", name, ok)
		}
		sum := 0.0
		for _, x := range p {
			if math.IsNaN(x) || x < 0 || x > 1 {
				t.Errorf("%s: probability %v", name, x)
			}
			sum += x
		}
		if ok && math.Abs(sum-1) > 1e-9 {
			t.Errorf("%s: sums to %v", name, sum)
		}
	}
}

// Logits that are no numbers at run time leave a degraded abstention.
func TestJudgeDegrades(t *testing.T) {
	t.Parallel()
	e := &Engine{rule: testRule()}
	for _, logits := range [][]float32{{1, 2, 3, 4, float32(math.NaN())}, {1, 2}, nil} {
		a := Answer{Understanding: e.blank("text")}
		e.judge(&a, logits)
		if !a.Degraded || a.Outcome != usher.OutcomeAbstain || len(a.Intents) != 0 {
			t.Errorf("%v: %+v", logits, a.Understanding)
		}
	}
}

func TestUnitRefusesWhatHasNoDirection(t *testing.T) {
	t.Parallel()
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, v := range []usher.Vec{nil, {0, 0}, {1, nan}, {1, inf}, {-inf, 1}} {
		if got := unit(v); got != nil {
			t.Errorf("unit(%v) = %v", v, got)
		}
	}
	if got := unit(usher.Vec{3, 4}); math.Abs(float64(got[0])-0.6) > 1e-6 {
		t.Errorf("got %v", got)
	}
}
