// Package models holds the shipped model bundles and opens, unpacks and verifies
// bundles. It is about artefacts: no domain types live here.
package models

import (
	"encoding/json"
	"fmt"
	"math"
)

// Kind says what a bundle reads.
type Kind string

// The kinds of bundle.
const (
	KindText    Kind = "text"    // token ids in; logits, embedding and match out
	KindTabular Kind = "tabular" // features in; expected_12m and p_active out
)

// Manifest describes a bundle: what is in it, what the graph reads and writes,
// and how its numbers are read. It is written last and never changes.
type Manifest struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Kind    Kind              `json:"kind"`
	Files   map[string]string `json:"files"` // file name -> SHA-256, hex; every file of the folder but the manifest

	Inputs  []Tensor `json:"inputs"`
	Outputs []Tensor `json:"outputs"`

	MaxLength int      `json:"max_length,omitempty"` // tokens, <s> and </s> included
	Prefix    string   `json:"prefix"`               // put before every text
	Pooling   string   `json:"pooling,omitempty"`    // for the record: the graph pools
	Specials  Specials `json:"specials,omitzero"`

	LabelsSHA256 string             `json:"labels_sha256,omitempty"` // of the label names, one a line, each ended by \n
	Temperature  float64            `json:"temperature,omitempty"`   // logits are divided by it; above 0
	Thresholds   map[string]float64 `json:"thresholds,omitempty"`    // least probability to accept a label; absent = never accepted
	Margin       float64            `json:"margin,omitempty"`        // least lead of the first label over the second
	Clarify      Clarify            `json:"clarify,omitzero"`
	OutOfScope   OutOfScope         `json:"out_of_scope,omitzero"`
	Embedding    Embedding          `json:"embedding,omitzero"`
	SkillLink    SkillLink          `json:"skill_link,omitzero"`
	ProfileMatch Spread             `json:"profile_match,omitzero"`

	OnnxruntimeAPI int            `json:"onnxruntime_api"` // version of the C API that exported and tested it
	Training       map[string]any `json:"training"`
	Metrics        map[string]any `json:"metrics"`
}

// Tensor is an input or output of the graph.
type Tensor struct {
	Name  string `json:"name"`
	Type  string `json:"type"` // int64 | float32
	Shape []Dim  `json:"shape"`
}

// Dim is a dimension: its size, or -1 where it varies, which the manifest writes as
// a name such as "batch".
type Dim int64

// UnmarshalJSON reads a number or a name.
func (d *Dim) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*d = -1
		return nil
	}
	var n int64
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("read dimension: %w", err)
	}
	*d = Dim(n)
	return nil
}

// Specials are the token ids with a meaning of their own.
type Specials struct {
	BOS int `json:"bos"`
	Pad int `json:"pad"`
	EOS int `json:"eos"`
	Unk int `json:"unk"`
}

// Clarify says when a question is worth asking: two to MaxChoices labels of at
// least Min each that hold Mass together.
type Clarify struct {
	Mass       float64 `json:"mass"`
	Min        float64 `json:"min"`
	MaxChoices int     `json:"max_choices"`
}

// OutOfScope names the label that means none of the others, and the probability
// from which nothing is accepted.
type OutOfScope struct {
	Label string  `json:"label"`
	Limit float64 `json:"limit"`
}

// Embedding identifies the vector space. Vectors of different ids never compare.
type Embedding struct {
	ID             string `json:"id"`
	Dimension      int    `json:"dimension"`
	MatchDimension int    `json:"match_dimension"`
}

// Spread is the mean and standard deviation of a family of cosines.
type Spread struct {
	Mean  float64 `json:"mean"`
	Scale float64 `json:"scale"`
}

// SkillLink centres the cosine of a skill's wording and a label's examples; a
// link holds from Threshold on.
type SkillLink struct {
	Mean      float64 `json:"mean"`
	Scale     float64 `json:"scale"`
	Threshold float64 `json:"threshold"`
}

// Label is one row of labels.json.
type Label struct {
	Label      string              `json:"label"`
	Title      map[string]string   `json:"title"`      // by language: zh, en
	Actionable bool                `json:"actionable"` // false: greeting, wish for a human, out of scope
	Examples   map[string][]string `json:"examples"`   // by language
}

// Golden is one row of a text bundle's golden.jsonl.
type Golden struct {
	Text        string    `json:"text"`
	IDs         []int64   `json:"ids"` // with <s> and </s>
	Label       string    `json:"label"`
	Probability float64   `json:"probability"`
	Embedding   []float32 `json:"embedding"` // its first eight numbers
}

// GoldenRow is one row of a tabular bundle's golden.jsonl. A feature that is null
// is missing.
type GoldenRow struct {
	Features    []*float32 `json:"features"`
	Expected12m float64    `json:"expected_12m"`
	PActive     float64    `json:"p_active"`
}

// Feature is one column of a tabular bundle's input, a row of features.json.
type Feature struct {
	Name        string `json:"name"`
	Unit        string `json:"unit"`
	Missing     Number `json:"missing"`  // what stands for an absent number
	Baseline    Number `json:"baseline"` // the ordinary customer's: contributions are told against it
	Low         Number `json:"low"`      // the range seen in training
	High        Number `json:"high"`
	Description string `json:"description"`
}

// Number is a float that JSON may also write as "NaN".
type Number float64

// UnmarshalJSON reads a number or "NaN".
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == `"NaN"` {
		*n = Number(math.NaN())
		return nil
	}
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("read number: %w", err)
	}
	*n = Number(f)
	return nil
}
