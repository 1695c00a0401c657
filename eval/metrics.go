package eval

import (
	"maps"
	"slices"
)

// Score is how well predictions match what is right.
type Score struct {
	Rows     int     `json:"rows"`
	Right    int     `json:"right"`
	Accuracy float64 `json:"accuracy"`
	// MacroF1 is the plain mean of F1 over the labels that are right somewhere,
	// so that a rare label counts as much as a common one.
	MacroF1 float64            `json:"macro_f1"`
	F1      map[string]float64 `json:"f1"`
}

// Measure compares pairs of right and predicted labels. Without rows every
// figure is 0.
func Measure(pairs []Pair) Score {
	s := Score{Rows: len(pairs), F1: map[string]float64{}}
	if len(pairs) == 0 {
		return s
	}
	hit, want, got := map[string]int{}, map[string]int{}, map[string]int{}
	for _, p := range pairs {
		want[p.Want]++
		got[p.Got]++
		if p.Want == p.Got {
			hit[p.Want]++
			s.Right++
		}
	}
	s.Accuracy = float64(s.Right) / float64(len(pairs))
	for _, label := range slices.Sorted(maps.Keys(want)) {
		f1 := 2 * float64(hit[label]) / float64(want[label]+got[label])
		s.F1[label] = f1
		s.MacroF1 += f1 / float64(len(want))
	}
	return s
}

// Pair is the right label of a row and the predicted one; "" is no prediction.
type Pair struct{ Want, Got string }
