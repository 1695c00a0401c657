// Package inference turns text into understanding: intents with calibrated
// probabilities, an outcome, a language and a vector. It holds no state of the
// floor and keeps no text.
package inference

import (
	"context"
	"errors"
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
	Workers   int // models run at once; defaults to the number of cores
	// SharedTokens caps the tokens of a run that texts of equal length share when
	// several wait. The default, 0, runs every text alone: sharing halves the CPU of
	// a crowd, but a graph quantised as it runs takes its scales from the whole run,
	// so that what a text means would depend on its company (by up to .08 in
	// probability, measured).
	SharedTokens int
	Queue        int           // texts waiting at most; beyond, usher.Overloaded; defaults to 256
	Deadline     time.Duration // longest wait for a worker when the context has no deadline; defaults to 5 s
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
// Tokenize and CPU, the longest for Queue and Infer.
type Timing struct {
	Tokenize time.Duration
	Queue    time.Duration
	Infer    time.Duration
	CPU      time.Duration // processor time inside the model; 0 where the system does not tell
}

// Status says what answers, for logs and the doctor.
type Status struct {
	Model    usher.ModelRef
	Value    usher.ModelRef // of the value model; empty = none
	Library  string         // the ONNX Runtime library in use; "" = none
	Degraded bool           // no trained text model answers
	Reasons  []string       // why something is missing, for the operator
}

// Engine answers what texts mean. It is safe for concurrent use.
type Engine struct {
	cfg    Config
	rule   rule
	link   models.SkillLink
	bundle usher.Bundle
	status Status

	text  *textModel  // nil: hash answers
	hash  *hashing    // nil: text answers
	value *valueModel // nil: no advice
	links skillLinks
}

// Open starts an engine. Whatever is missing or damaged among library and bundles
// makes it answer by hashing, degraded, and is told by Status; only a
// configuration that cannot work is an error.
func Open(cfg Config) (*Engine, error) {
	cfg = cfg.WithDefaults()
	e := &Engine{cfg: cfg}
	text, value := e.open()
	if text == nil {
		e.degrade()
	} else {
		e.text = text
		e.use(&text.bundle.Manifest, text.bundle.Labels)
	}
	if value != nil {
		e.value = value
		e.status.Value = usher.ModelRef{Name: value.bundle.Manifest.Name, Version: value.bundle.Manifest.Version}
	}
	return e, nil
}

// open loads what it can and notes why it cannot load the rest.
func (e *Engine) open() (text *textModel, value *valueModel) {
	note := func(what string, err error) {
		if err != nil {
			e.status.Reasons = append(e.status.Reasons, what+": "+err.Error())
		}
	}
	if e.cfg.Models == "" {
		note("models", errors.New("no folder of bundles is configured"))
		return nil, nil
	}
	path := FindLibrary(e.cfg.Libraries)
	if path == "" {
		note("library", errors.New("no ONNX Runtime library was found"))
		return nil, nil
	}
	library, err := loadLibrary(path)
	if err != nil {
		note("library", err)
		return nil, nil
	}
	e.status.Library = library
	if b, err := models.Open(e.cfg.Models, e.cfg.Intent, e.cfg.Alias); err != nil {
		note("text model", err)
	} else {
		text, err = openText(b, e.cfg.Workers, e.cfg.Queue, e.cfg.SharedTokens)
		note("text model", err)
	}
	if b, err := models.Open(e.cfg.Models, e.cfg.Value, e.cfg.Alias); err != nil {
		note("value model", err)
	} else {
		value, err = openValue(b)
		note("value model", err)
	}
	return text, value
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

// Close lets waiting and running work finish and frees the models. Later calls
// answer usher.Unavailable. Closing again is no error.
func (e *Engine) Close() error {
	var errs []error
	if e.text != nil {
		errs = append(errs, e.text.close())
	}
	if e.value != nil {
		errs = append(errs, e.value.graph.close())
	}
	return errors.Join(errs...)
}

// VerifyAll runs every golden row of the bundles in use; the error tells the first
// row of each that differs. Without a model there is nothing to verify.
func (e *Engine) VerifyAll() error {
	var errs []error
	if e.text != nil {
		errs = append(errs, e.text.prove(e.text.bundle.Golden))
	}
	if e.value != nil {
		errs = append(errs, e.value.prove(e.value.bundle.Rows))
	}
	return errors.Join(errs...)
}

// window is how many texts of one call are under way at once, so that a long list
// does not fill the queue.
const window = 32

// Understand returns what each text means, in order. A text in which nothing is
// left after Clean gets no intents and abstains. The error is InvalidArgument for
// no texts, Unprocessable for a text the tokenizer cannot take, Overloaded (with
// RetryAfter) when too much waits or waited too long, Unavailable after Close or
// when the model fails, or the context's own.
func (e *Engine) Understand(ctx context.Context, texts []string, prio Priority) ([]Answer, Timing, error) {
	if len(texts) == 0 {
		return nil, Timing{}, usher.Errorf(usher.InvalidArgument, "no text to understand")
	}
	if err := ctx.Err(); err != nil {
		return nil, Timing{}, err
	}
	var timing Timing
	answers := make([]Answer, len(texts))
	for from := 0; from < len(texts); from += window {
		to := min(from+window, len(texts))
		if err := e.understand(ctx, texts[from:to], prio, answers[from:to], &timing); err != nil {
			return nil, timing, err
		}
	}
	return answers, timing, nil
}

func (e *Engine) understand(ctx context.Context, texts []string, prio Priority, answers []Answer, timing *Timing) error {
	start := time.Now()
	cleaned := make([]string, len(texts))
	for i, text := range texts {
		var cut bool
		cleaned[i], cut = clean(text, MaxCleanBytes)
		answers[i].Understanding = e.blank(cleaned[i])
		answers[i].Truncated = cut
	}
	if e.text == nil {
		for i, c := range cleaned {
			if c == "" {
				continue
			}
			var logits []float32
			logits, answers[i].Vector = e.hash.encode(c)
			e.judge(&answers[i], logits)
		}
		timing.Infer += time.Since(start)
		return nil
	}
	// The time limit is for waiting: a run takes milliseconds and is not broken off.
	limited, cancel := context.WithTimeout(ctx, e.cfg.Deadline)
	defer cancel()
	jobs := make([]*job, 0, len(texts))
	at := make([]int, 0, len(texts))
	for i, c := range cleaned {
		if c == "" {
			continue
		}
		j, truncated, err := e.text.prepare(limited, c)
		if err != nil {
			return err
		}
		answers[i].Truncated = answers[i].Truncated || truncated
		jobs, at = append(jobs, j), append(at, i)
	}
	timing.Tokenize += time.Since(start)
	if len(jobs) == 0 {
		return nil
	}
	if len(jobs) > 1 || !e.text.sched.here(jobs[0]) {
		if err := e.text.sched.submit(jobs, prio); err != nil {
			return err
		}
	}
	for k, j := range jobs {
		select {
		case <-j.done:
		case <-limited.Done():
			return e.late(ctx)
		}
		timing.Queue, timing.Infer = max(timing.Queue, j.queue), max(timing.Infer, j.infer)
		timing.CPU += j.cpu
		if err := j.err; err != nil {
			if limited.Err() != nil {
				return e.late(ctx)
			}
			return failed(err)
		}
		a := &answers[at[k]]
		a.Vector = usher.Vector{Embedding: e.bundle.Embedding, Match: j.matched, Full: j.full}
		e.judge(a, j.logits)
	}
	return nil
}

// late tells the caller's own deadline from that of the engine.
func (e *Engine) late(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errBusy()
}

// failed gives a failing model its code, unless it has one.
func failed(err error) error {
	if coded, ok := errors.AsType[*usher.Error](err); ok {
		return coded
	}
	return usher.Errorf(usher.Unavailable, "the model failed").Because(err)
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

// Encode returns the vectors of texts, in order, at bulk priority. A text in which
// nothing is left gets a vector without embedding id.
func (e *Engine) Encode(ctx context.Context, texts []string) ([]usher.Vector, error) {
	answers, _, err := e.Understand(ctx, texts, Bulk)
	if err != nil {
		return nil, err
	}
	vectors := make([]usher.Vector, len(answers))
	for i, a := range answers {
		vectors[i] = a.Vector
	}
	return vectors, nil
}
