package faq

import (
	_ "embed" // the parameters
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

//go:embed calibration.json
var calibrationJSON []byte

// Features of a candidate, in the order of Features.X.
const (
	cosQuestion = iota // best cosine over titles and other wordings
	cosAnswer          // best cosine over answers
	covQuestion        // share of the message's words, by rarity, that the wordings have
	covAnswer          // the same for wordings and answers together
	features
)

// calibration turns features into probabilities: exp of the weighted sum, over the
// sum of all candidates and of the possibility that no entry answers.
type calibration struct {
	Embedding string            `json:"embedding"` // "" = wording alone, for want of a model
	Weights   [features]float64 `json:"weights"`
	None      [2]float64        `json:"none"` // constant, and per ln(1 + characters of the message)
	AnswerAt  float64           `json:"answer_at"`
	SuggestAt float64           `json:"suggest_at"`
}

// calibrations reads what was fitted; see training-notes/0003-faq.md.
func calibrations() (map[string]calibration, error) {
	var doc struct {
		Source       string        `json:"source"`
		Calibrations []calibration `json:"calibrations"`
	}
	if err := json.Unmarshal(calibrationJSON, &doc); err != nil {
		return nil, fmt.Errorf("read calibration: %w", err)
	}
	out := map[string]calibration{}
	for _, c := range doc.Calibrations {
		out[c.Embedding] = c
	}
	if _, ok := out[""]; !ok {
		return nil, errors.New("read calibration: none for wording alone")
	}
	return out, nil
}

func (c *calibration) logit(x [features]float64) float64 {
	sum := 0.0
	for i, w := range c.Weights {
		sum += w * x[i]
	}
	return sum
}

func (c *calibration) none(length int) float64 {
	return c.None[0] + c.None[1]*math.Log1p(float64(length))
}

// probabilities of candidates by their logits, in the same order.
func (c *calibration) probabilities(logits []float64, length int) []float64 {
	none := c.none(length)
	most := none
	for _, l := range logits {
		most = max(most, l)
	}
	sum := math.Exp(none - most)
	out := make([]float64, len(logits))
	for i, l := range logits {
		out[i] = math.Exp(l - most)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}
