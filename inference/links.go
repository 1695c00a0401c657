package inference

import (
	"cmp"
	"context"
	"slices"

	"usher"
)

// linkGap is how far behind the best link, in probability or calibrated cosine, a
// second intent may be and still be served by the same skill.
const linkGap = 0.1

// Links returns, skill by skill, the intents that a skill serves by its wording:
// the best one, and a second one close to it, if they reach the threshold; a skill
// that serves none is left out. Only intents one can act upon are linked.
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
		links = append(links, e.hashedLinks(skill, cleaned)...)
	}
	return links, nil
}

// hashedLinks takes the distribution over labels for the likeness.
func (e *Engine) hashedLinks(skill, cleaned string) []usher.SkillLink {
	logits, _ := e.hash.encode(cleaned)
	p, ok := softmax(logits, e.rule.temperature)
	if !ok {
		return nil
	}
	return best(e.rule.actionable(skill, p), e.link.Threshold)
}

// actionable gives each label one can act upon its score.
func (r *rule) actionable(skill string, score []float64) []usher.SkillLink {
	var links []usher.SkillLink
	for i, l := range r.labels {
		if l.Actionable {
			links = append(links, usher.SkillLink{Skill: skill, Intent: l.Label, Score: score[i]})
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
