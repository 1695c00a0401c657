package rank

import (
	"math"
	"slices"

	"usher"
)

const (
	maxZ     = 2.0  // beyond it the cosine says no more
	minPrior = 0.01 // nobody resolves nothing
	maxPrior = 0.99 // nor everything
	noSkill  = 0.50 // prior without a skill
	skilled  = 0.55 // a prior from here on means that a skill serves the intent
)

// Prior returns the probability that an agent with a skill of that level (1 to
// 5; 0 or less is no skill) resolves a conversation that the skill serves,
// before anything else is known of him.
func Prior(level int) float64 {
	switch {
	case level <= 0:
		return noSkill
	case level == 1:
		return 0.58
	case level == 2:
		return 0.64
	case level == 3:
		return 0.70
	case level == 4:
		return 0.78
	default:
		return 0.86
	}
}

// Priors returns, per label, the prior of the best of the skills that serves
// it; intentsOf returns the labels that a skill serves.
func Priors(labels []string, skills []usher.SkillLevel, intentsOf func(skill string) []string) []float64 {
	p := make([]float64, len(labels))
	for i := range p {
		p[i] = noSkill
	}
	for _, s := range skills {
		v := Prior(s.Level)
		for _, intent := range intentsOf(s.Name) {
			if i := slices.Index(labels, intent); i >= 0 {
				p[i] = max(p[i], v)
			}
		}
	}
	return p
}

// odds returns p/(1−p) of a prior brought within its bounds.
func odds(p float64) float64 {
	if math.IsNaN(p) {
		p = noSkill
	}
	p = min(max(p, minPrior), maxPrior)
	return p / (1 - p)
}

// resolved returns the probability whose odds are o·e. It is written so that
// every operation is monotone in e, also after rounding: what holds at the
// greatest e bounds all others without any slack.
func resolved(o, e float64) float64 {
	return 1 - 1/(1+float64(o*e))
}

// served is one intent that an agent serves otherwise than anybody would.
type served struct {
	label uint32
	odds  float64 // at z = 0
	base  float64 // resolved at z = 0
	best  float64 // resolved at z = maxZ by the default weight
	skill float64 // 1 if a skill serves it, else 0
}

// quality returns Σ p·q of a distribution and a row, every odds times e: what a
// row serves, and the rest as anybody would, in a fixed order.
func quality(p []float64, row []served, e float64) float64 {
	var sum float64
	rest := 1.0
	for i := range row {
		w := p[row[i].label]
		rest -= w
		sum += float64(w * resolved(row[i].odds, e))
	}
	return sum + float64(max(rest, 0)*resolved(1, e))
}

// shortRow is how many intents a row may serve to be bounded without a look at
// memory elsewhere.
const shortRow = 6

// bound is what bounding a row with a vector needs, in one place: the same
// numbers as in its served ones, the rest of the places empty.
type bound struct {
	best   [shortRow]float64
	labels [shortRow]uint16
	fits   bool // the row has a vector and is short
}

// quality is the quality of the row at the greatest lift that rows are made for;
// anybody is what odds of 1 resolve there.
func (b *bound) quality(p []float64, anybody float64) float64 {
	var sum float64
	rest := 1.0
	for i := range shortRow {
		w := p[b.labels[i]]
		rest -= w
		sum += float64(w * b.best[i])
	}
	return sum + float64(max(rest, 0)*anybody)
}

// qualityAtBest is bound.quality for a row of any length.
func qualityAtBest(p []float64, row []served, anybody float64) float64 {
	var sum float64
	rest := 1.0
	for i := range row {
		w := p[row[i].label]
		rest -= w
		sum += float64(w * row[i].best)
	}
	return sum + float64(max(rest, 0)*anybody)
}

// qualityAtBase is quality without a cosine.
func qualityAtBase(p []float64, row []served) float64 {
	var sum float64
	rest := 1.0
	for i := range row {
		w := p[row[i].label]
		rest -= w
		sum += float64(w * row[i].base)
	}
	return sum + float64(max(rest, 0)*noSkill)
}

// mass returns the probability of the intents that the skills of a row serve.
func mass(p []float64, row []served) float64 {
	var sum float64
	for i := range row {
		sum += float64(p[row[i].label] * row[i].skill)
	}
	return sum
}

// lift returns the factor on the odds for a standardised cosine that moves so
// many logits per standard deviation.
func lift(logits, z float64) float64 {
	return exp(float64(logits * min(max(z, -maxZ), maxZ)))
}

// exp returns e^x for x within ±700, to about eleven digits and with the same
// bits everywhere; the one of package math differs between architectures.
func exp(x float64) float64 {
	const (
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
	)
	x = min(max(x, -700), 700)
	n := math.RoundToEven(float64(x * math.Log2E))
	r := x - float64(n*ln2Hi) - float64(n*ln2Lo)
	r2 := float64(r * r)
	r4 := float64(r2 * r2)
	// Taylor to the ninth degree, paired so that the chain is short.
	p01 := 1 + r
	p23 := 1./2 + float64(r*(1./6))
	p45 := 1./24 + float64(r*(1./120))
	p67 := 1./720 + float64(r*(1./5040))
	p89 := 1./40320 + float64(r*(1./362880))
	low := p01 + float64(r2*p23)
	high := p45 + float64(r2*p67) + float64(r4*p89)
	return float64((low + float64(r4*high)) * math.Float64frombits(uint64(int64(n)+1023)<<52))
}

// dot returns the inner product. A product of two float32 is exact in float64,
// so it has the same bits with and without fused multiply-add.
func dot(a *[usher.MatchDim]float32, b *[usher.MatchDim]float64) float64 {
	var s0, s1, s2, s3 float64
	for i := 0; i < usher.MatchDim; i += 8 {
		s0 += float64(float64(a[i]) * b[i])
		s1 += float64(float64(a[i+1]) * b[i+1])
		s2 += float64(float64(a[i+2]) * b[i+2])
		s3 += float64(float64(a[i+3]) * b[i+3])
		s0 += float64(float64(a[i+4]) * b[i+4])
		s1 += float64(float64(a[i+5]) * b[i+5])
		s2 += float64(float64(a[i+6]) * b[i+6])
		s3 += float64(float64(a[i+7]) * b[i+7])
	}
	return (s0 + s1) + (s2 + s3)
}

// unit writes v, scaled to unit length, into dst and reports whether v is a
// vector that can be compared: MatchDim long, finite, not zero.
func unit(dst *[usher.MatchDim]float32, v usher.Vec) bool {
	if len(v) != usher.MatchDim {
		return false
	}
	var sum float64
	for _, x := range v {
		sum += float64(float64(x) * float64(x))
	}
	norm := math.Sqrt(sum)
	if math.IsNaN(norm) || math.IsInf(norm, 0) || norm < 1e-12 {
		return false
	}
	for i, x := range v {
		dst[i] = float32(float64(x) / norm)
	}
	return true
}
