package inference

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"usher"
)

// linkGap is how far behind the best link, in probability or calibrated cosine, a
// second intent may be and still be served by the same skill.
const linkGap = 0.1

// linksKept bounds the cache of links.
const linksKept = 4096

// skillLinks caches links by text, and the vectors of the labels.
type skillLinks struct {
	making sync.Mutex // held while the vectors of the labels are made, so that it is done once
	mu     sync.Mutex
	labels []usher.Vec // by label, length 1; nil until first used
	known  map[string][]usher.SkillLink
}

// Links returns, skill by skill, the intents that a skill serves by its wording:
// the best one, and a second one close to it, if they reach the threshold; a skill
// that serves none is left out. Only intents one can act upon are linked. With a
// model the score is the centred cosine of skill and label, with hashing a
// probability.
func (e *Engine) Links(ctx context.Context, skills []string) ([]usher.SkillLink, error) {
	links := []usher.SkillLink{}
	for _, skill := range skills {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		cleaned := Clean(skill)
		if cleaned == "" {
			continue
		}
		found, err := e.linksOf(ctx, cleaned)
		if err != nil {
			return nil, err
		}
		for _, l := range found {
			l.Skill = skill
			links = append(links, l)
		}
	}
	return links, nil
}

func (e *Engine) linksOf(ctx context.Context, cleaned string) ([]usher.SkillLink, error) {
	e.links.mu.Lock()
	found, ok := e.links.known[cleaned]
	e.links.mu.Unlock()
	if ok {
		return found, nil
	}
	score, err := e.likeness(ctx, cleaned)
	if err != nil {
		return nil, err
	}
	found = best(e.rule.actionable(score), e.link.Threshold)
	e.links.mu.Lock()
	defer e.links.mu.Unlock()
	if len(e.links.known) >= linksKept {
		e.links.known = nil
	}
	if e.links.known == nil {
		e.links.known = map[string][]usher.SkillLink{}
	}
	e.links.known[cleaned] = found
	return found, nil
}

// likeness scores a skill's wording against every label.
func (e *Engine) likeness(ctx context.Context, cleaned string) ([]float64, error) {
	if e.text == nil {
		logits, _ := e.hash.encode(cleaned)
		p, ok := softmax(logits, e.rule.temperature)
		if !ok {
			return nil, usher.Errorf(usher.Unavailable, "the skill cannot be compared")
		}
		return p, nil
	}
	labels, err := e.labelVectors(ctx)
	if err != nil {
		return nil, err
	}
	answers, _, err := e.Understand(ctx, []string{cleaned}, Bulk)
	if err != nil {
		return nil, fmt.Errorf("encode skill: %w", err)
	}
	score := make([]float64, len(labels))
	scale := e.link.Scale
	if !(scale > 0) {
		scale = 1
	}
	for i, v := range labels {
		score[i] = (cosine(answers[0].Vector.Full, v) - e.link.Mean) / scale
	}
	return score, nil
}

// labelVectors encodes the labels once: each is as near to its title as to the
// centre of its examples, since a skill is named in the manner of a title.
func (e *Engine) labelVectors(ctx context.Context) ([]usher.Vec, error) {
	e.links.making.Lock()
	defer e.links.making.Unlock()
	e.links.mu.Lock()
	labels := e.links.labels
	e.links.mu.Unlock()
	if labels != nil {
		return labels, nil
	}
	for _, l := range e.text.bundle.Labels {
		var examples, titles []string
		for _, language := range []string{"zh", "en"} {
			examples = append(examples, l.Examples[language]...)
			if title := l.Title[language]; title != "" {
				titles = append(titles, title)
			}
		}
		v, err := e.centre(ctx, examples)
		if err != nil {
			return nil, fmt.Errorf("encode examples of %s: %w", l.Label, err)
		}
		title, err := e.centre(ctx, titles)
		if err != nil {
			return nil, fmt.Errorf("encode title of %s: %w", l.Label, err)
		}
		for i, x := range title {
			v[i] += x
		}
		labels = append(labels, unit(v))
	}
	e.links.mu.Lock()
	defer e.links.mu.Unlock()
	e.links.labels = labels
	return labels, nil
}

// centre returns the direction that texts have in common, of length 1, or zero
// for no texts.
func (e *Engine) centre(ctx context.Context, texts []string) (usher.Vec, error) {
	sum := make(usher.Vec, e.text.bundle.Manifest.Embedding.Dimension)
	if len(texts) == 0 {
		return sum, nil
	}
	answers, _, err := e.Understand(ctx, texts, Bulk)
	if err != nil {
		return nil, err
	}
	for _, a := range answers {
		for i, x := range a.Vector.Full {
			sum[i] += x
		}
	}
	return unit(sum), nil
}

// actionable gives each label one can act upon its score.
func (r *rule) actionable(score []float64) []usher.SkillLink {
	var links []usher.SkillLink
	for i, l := range r.labels {
		if l.Actionable {
			links = append(links, usher.SkillLink{Intent: l.Label, Score: score[i]})
		}
	}
	return links
}

// best keeps the first link, and the second if it is close, from threshold on.
func best(links []usher.SkillLink, threshold float64) []usher.SkillLink {
	slices.SortStableFunc(links, func(a, b usher.SkillLink) int { return cmp.Compare(b.Score, a.Score) })
	for i, l := range links {
		if i == 2 || l.Score < threshold || l.Score < links[0].Score-linkGap {
			return links[:i]
		}
	}
	return links
}
