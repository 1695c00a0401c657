// Package inference turns text into understanding: intents with calibrated
// probabilities, an outcome, a language and a vector. It holds no state of the
// floor and keeps no text.
package inference

import (
	"context"
	"math"
	"runtime"
	"time"

	"usher"
	"usher/models"
)

// Config of an Engine.
type Config struct {
	// Models is the folder of unpacked bundles (models.Unpack). "" means the hashing encoder.
	Models string
	Alias  string // which version of the bundles answers; defaults to "default"
	Intent string // name of the text bundle; defaults to "intent"
	Value  string // name of the tabular bundle; defaults to "value"
	// Libraries are the places where the ONNX Runtime library may be, best first;
	// see FindLibrary. None found means the hashing encoder.
	Libraries []string
	Workers   int           // models run at once; defaults to the number of cores
	Queue     int           // texts waiting at most; beyond, usher.Overloaded; defaults to 256
	Deadline  time.Duration // longest wait for a worker when the context has no deadline; defaults to 5 s
}

// WithDefaults fills the fields left empty.
func (c Config) WithDefaults() Config {
	if c.Alias == "" {
		c.Alias = "default"
	}
	if c.Intent == "" {
		c.Intent = "intent"
	}
	if c.Value == "" {
		c.Value = "value"
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Queue <= 0 {
		c.Queue = 256
	}
	if c.Deadline <= 0 {
		c.Deadline = 5 * time.Second
	}
	return c
}

// Priority orders waiting texts.
type Priority int

// The priorities: chat goes before bulk, always.
const (
	Chat Priority = iota
	Bulk
)

// Answer is what the models said of one text. Vector has no embedding id when
// there was nothing to encode.
type Answer struct {
	usher.Understanding
	Vector usher.Vector
}

// Timing is where the time of one Understand went: summed over its texts for
// Tokenize, the longest for Queue and Infer.
type Timing struct {
	Tokenize time.Duration
	Queue    time.Duration
	Infer    time.Duration
}

// Status says what answers, for logs and the doctor.
type Status struct {
	Model    usher.ModelRef
	Value    usher.ModelRef // of the value model; empty = none
	Library  string         // the ONNX Runtime library in use; "" = none
	Degraded bool           // no trained text model answers
	Reasons  []string       // why something is missing, for the operator
}

// Engine answers what texts mean. It is safe for concurrent use. A nil or closed
// Engine must not be used.
type Engine struct {
	cfg    Config
	rule   rule
	link   models.SkillLink
	hash   *hashing // the encoder without a model
	bundle usher.Bundle
	status Status
}

// Open starts an engine. Whatever is missing or damaged among library and bundles
// makes it answer by hashing, degraded, and is told by Status; only a
// configuration that cannot work is an error.
func Open(cfg Config) (*Engine, error) {
	cfg = cfg.WithDefaults()
	e := &Engine{cfg: cfg}
	e.degrade()
	return e, nil
}

// degrade makes the hashing encoder answer.
func (e *Engine) degrade() {
	e.hash = newHashing()
	m, labels := hashingManifest()
	e.use(m, labels)
	e.status.Degraded, e.bundle.Degraded = true, true
}

func (e *Engine) use(m *models.Manifest, labels []models.Label) {
	e.rule, e.link = newRule(m, labels), m.SkillLink
	e.bundle = usher.Bundle{
		Model: usher.ModelRef{Name: m.Name, Version: m.Version}, Embedding: m.Embedding.ID,
		ProfileMean: m.ProfileMatch.Mean, ProfileScale: m.ProfileMatch.Scale, Labels: make([]usher.Label, len(labels)),
	}
	for i, l := range labels {
		e.bundle.Labels[i] = usher.Label{Label: l.Label, Title: l.Title, Actionable: l.Actionable}
	}
	e.status.Model = e.bundle.Model
}

// Bundle returns what the floor must know of the model that answers.
func (e *Engine) Bundle() usher.Bundle { return e.bundle }

// Status tells what answers and why something does not.
func (e *Engine) Status() Status { return e.status }

// Close waits for running work and frees the models. Later calls answer
// usher.Unavailable.
func (e *Engine) Close() {}

// Understand returns what each text means, in order. A text in which nothing is
// left after Clean gets no intents and abstains. The error is InvalidArgument for
// no texts, Unprocessable for a text the tokenizer cannot take, Overloaded when
// too much waits, Unavailable after Close, or the context's own.
func (e *Engine) Understand(ctx context.Context, texts []string, prio Priority) ([]Answer, Timing, error) {
	if len(texts) == 0 {
		return nil, Timing{}, usher.Errorf(usher.InvalidArgument, "no text to understand")
	}
	if err := ctx.Err(); err != nil {
		return nil, Timing{}, err
	}
	answers := make([]Answer, len(texts))
	start := time.Now()
	for i, text := range texts {
		cleaned, cut := clean(text, MaxCleanBytes)
		a := &answers[i]
		a.Understanding = e.blank(cleaned)
		a.Truncated = cut
		if cleaned == "" {
			continue
		}
		logits, v := e.hash.encode(cleaned)
		a.Vector = v
		e.judge(a, logits)
	}
	return answers, Timing{Infer: time.Since(start)}, nil
}

// blank is the understanding of a text that no model has seen.
func (e *Engine) blank(cleaned string) usher.Understanding {
	return usher.Understanding{
		Intents: []usher.IntentP{}, Outcome: usher.OutcomeAbstain, Language: language(cleaned),
		Model: e.bundle.Model, Degraded: e.bundle.Degraded,
	}
}

// judge fills in what the logits say. Logits that are no numbers leave the text
// without understanding, degraded.
func (e *Engine) judge(a *Answer, logits []float32) {
	p, ok := softmax(logits, e.rule.temperature)
	if !ok || len(p) != len(e.rule.labels) {
		a.Degraded = true
		return
	}
	e.rule.apply(p, &a.Understanding)
}

// unit scales v to length 1; a vector of zeros, or with something in it that is no
// number, becomes nil.
func unit(v usher.Vec) usher.Vec {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return nil
	}
	scale := float32(1 / math.Sqrt(sum))
	for i := range v {
		v[i] *= scale
	}
	return v
}

// cosine of two unit vectors of one length.
func cosine(a, b usher.Vec) float64 {
	if len(a) != len(b) {
		return 0
	}
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
