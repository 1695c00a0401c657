package inference

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"usher"
	"usher/models"
)

// goldenTolerance is how far a probability or an embedding number may be from the
// golden row: processors quantise a little differently.
const goldenTolerance = 0.02

// goldenAtLoad is how many golden rows are run before a model may answer.
const goldenAtLoad = 20

// textModel is an opened text bundle.
type textModel struct {
	bundle *models.Bundle
	tokens tokenizing
	graph  *graph
	rule   rule
	sched  *scheduler
}

// tokenizing is what a model needs of a tokenizer: Unigram, or sugarme's for bundles
// of another kind.
type tokenizing interface {
	encode(dst []int64, text string, limit int) (ids []int64, truncated bool, err error)
}

func (u *Unigram) encode(dst []int64, text string, limit int) ([]int64, bool, error) {
	ids, truncated := u.Encode(dst, text, limit)
	return ids, truncated, nil
}

// openText opens a verified bundle and proves it on golden rows.
func openText(b *models.Bundle, workers, queue, shared int) (_ *textModel, err error) {
	m := &b.Manifest
	if m.Embedding.MatchDimension != usher.MatchDim {
		return nil, fmt.Errorf("manifest: match_dimension %d, ranking needs %d", m.Embedding.MatchDimension, usher.MatchDim)
	}
	t := &textModel{bundle: b, rule: newRule(m, b.Labels)}
	// The tokenizer and the graph take about as long to load: side by side.
	opened := make(chan error, 1)
	go func() {
		var err error
		t.tokens, err = openTokenizer(b)
		opened <- err
	}()
	t.graph, err = openGraph(b.Path(models.FileModel), m.Inputs, m.Outputs)
	if err := errors.Join(err, <-opened); err != nil {
		return nil, errors.Join(err, t.close())
	}
	t.sched = newScheduler(workers, queue, shared, t.infer)
	if err := t.prove(sample(b.Golden, goldenAtLoad)); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// openTokenizer prefers the own Unigram model; a sound tokenizer.json of another
// kind is left to sugarme.
func openTokenizer(b *models.Bundle) (tokenizing, error) {
	u, err := OpenUnigram(b.Path(models.FileTokenizer))
	if errors.Is(err, errForeign) {
		return openForeign(b.Path(models.FileTokenizer))
	}
	if err != nil {
		return nil, err
	}
	if s := b.Manifest.Specials; u.bos != s.BOS || u.eos != s.EOS || u.unk != s.Unk {
		return nil, fmt.Errorf("tokenizer.json frames with %d and %d, unknown %d; the manifest says %+v", u.bos, u.eos, u.unk, s)
	}
	return u, nil
}

func (t *textModel) close() error {
	if t.sched != nil {
		t.sched.close()
	}
	if t.graph == nil {
		return nil
	}
	return t.graph.close()
}

// prepare tokenises a cleaned, non-empty text.
func (t *textModel) prepare(ctx context.Context, cleaned string) (_ *job, _ bool, err error) {
	defer recoverTokenizer(&err)
	m := &t.bundle.Manifest
	ids, truncated, err := t.tokens.encode(make([]int64, 0, min(m.MaxLength, 8+len(cleaned)/2)), m.Prefix+cleaned, m.MaxLength)
	if err != nil {
		return nil, false, err
	}
	return &job{ctx: ctx, ids: ids, done: make(chan struct{})}, truncated, nil
}

// infer runs jobs of equal length together.
func (t *textModel) infer(batch []*job) {
	m := &t.bundle.Manifest
	n, width, labels := len(batch), len(batch[0].ids), len(t.bundle.Labels)
	ids, mask := batch[0].ids, make([]int64, n*width)
	if n > 1 {
		ids = make([]int64, 0, n*width)
		for _, j := range batch {
			ids = append(ids, j.ids...)
		}
	}
	for i := range mask {
		mask[i] = 1
	}
	logits := make([]float32, n*labels)
	full := make([]float32, n*m.Embedding.Dimension)
	match := make([]float32, n*m.Embedding.MatchDimension)
	err := t.graph.text(n, width, ids, mask, logits, full, match)
	for i, j := range batch {
		j.err = err
		j.logits, j.full, j.matched = row(logits, i, n), unit(row(full, i, n)), unit(row(match, i, n))
	}
}

// row copies what belongs to job i of n, so that no job keeps the others' results.
func row(all []float32, i, n int) []float32 {
	if n == 1 {
		return all
	}
	size := len(all) / n
	return slices.Clone(all[i*size : (i+1)*size])
}

// prove runs golden rows and compares: ids equal, first label equal, probability and
// embedding within tolerance.
func (t *textModel) prove(rows []models.Golden) error {
	for _, r := range rows {
		if err := t.proveRow(r); err != nil {
			return fmt.Errorf("golden row of %d tokens: %w", len(r.IDs), err) // not its text: a row may be a customer's
		}
	}
	return nil
}

func (t *textModel) proveRow(r models.Golden) error {
	cleaned := Clean(r.Text)
	if cleaned == "" {
		return errors.New("nothing is left of its text")
	}
	j, _, err := t.prepare(context.Background(), cleaned)
	if err != nil {
		return err
	}
	if !slices.Equal(j.ids, r.IDs) {
		return fmt.Errorf("ids are %v, want %v", j.ids, r.IDs)
	}
	t.infer([]*job{j})
	if j.err != nil {
		return j.err
	}
	p, ok := softmax(j.logits, t.rule.temperature)
	if !ok {
		return errors.New("its logits are no numbers")
	}
	first := 0
	for i := range p {
		if p[i] > p[first] {
			first = i
		}
	}
	if got := t.bundle.Labels[first].Label; got != r.Label || math.Abs(p[first]-r.Probability) > goldenTolerance {
		return fmt.Errorf("label %s with %.4f, want %s with %.4f", got, p[first], r.Label, r.Probability)
	}
	for i, want := range r.Embedding {
		if i >= len(j.full) || math.Abs(float64(j.full[i]-want)) > goldenTolerance {
			return fmt.Errorf("embedding begins %v, want %v", j.full[:min(len(j.full), len(r.Embedding))], r.Embedding)
		}
	}
	return nil
}

// sample returns n rows spread over the lengths, always the same ones.
func sample(rows []models.Golden, n int) []models.Golden {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b models.Golden) int { return len(a.IDs) - len(b.IDs) })
	if len(rows) <= n {
		return rows
	}
	picked := make([]models.Golden, n)
	for i := range picked {
		picked[i] = rows[i*(len(rows)-1)/(n-1)]
	}
	return picked
}
