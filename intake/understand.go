package intake

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"usher"
)

// labelHuman is the intent of asking for a person.
const labelHuman = "human_agent"

// allText is the customer's text of a conversation, of which the newest is kept
// when there is more than a message may have.
func allText(before []usher.Message, text string) string {
	parts := []string{text}
	room := usher.MaxTextBytes - len(text)
	for _, m := range slices.Backward(before) {
		if m.Text == "" {
			continue
		}
		if room -= len(m.Text) + 1; room < 0 {
			break
		}
		parts = append(parts, m.Text)
	}
	slices.Reverse(parts)
	return strings.Join(parts, "\n")
}

// understand fills in what the message means, and the conversation with it. A
// model that fails leaves both without understanding, degraded; only a request
// that is over is an error.
func (m *message) understand(ctx context.Context, rules Rules, before []usher.Message, a *usher.Arrival) error {
	d, text := m.desk, m.req.Text
	if m.says(before, a) {
		return nil
	}
	if a.Message.Choice != "" {
		u := m.choice(a.Message.Choice)
		u.Keywords = keywords(rules, text)
		a.Message.Understanding, a.Understanding = u, u
		return nil
	}
	if text == "" {
		return nil
	}
	texts := []string{text}
	if glue, _ := d.cfg.Models.Glue(text, nil); !glue {
		if all := m.recent(before, text); all != text {
			texts = append(texts, all)
		}
	}
	if err := m.ask(ctx, texts); err != nil {
		return err
	}
	own := m.read[0].Understanding
	own.Keywords = keywords(rules, text)
	a.Message.Understanding, a.Message.Truncated = &own, own.Truncated
	a.Glue, a.Greeting = d.cfg.Models.Glue(text, &own)
	label, _ := own.Top()
	a.WantsHuman = d.cfg.Models.WantsHuman(text) ||
		label == labelHuman && own.Outcome == usher.OutcomeAccept && !own.Degraded
	if !a.Glue {
		m.find(ctx, text, &m.read[0], a)
	}
	whole := m.read[len(m.read)-1]
	u := whole.Understanding
	u.Keywords = own.Keywords
	a.Understanding = &u
	if whole.Vector.Embedding != "" {
		v := whole.Vector
		v.Full = nil // ranking needs the short one
		a.Vector = &v
	}
	return nil
}

// keywords names the keyword lists that hold, nil when none does.
func keywords(rules Rules, text string) []string {
	if names := rules.Keywords(text); len(names) > 0 {
		return names
	}
	return nil
}

// ask has the models read texts, once.
func (m *message) ask(ctx context.Context, texts []string) error {
	if slices.Equal(texts, m.asked) {
		return nil
	}
	d := m.desk
	wait, cancel := context.WithTimeout(ctx, d.cfg.ModelWait)
	defer cancel()
	read, timing, err := d.cfg.Models.Understand(wait, texts)
	m.timing.Tokenize += timing.Tokenize
	m.timing.Queue += timing.Queue
	m.timing.Infer += timing.Infer
	if err == nil && len(read) == len(texts) {
		m.asked, m.read = texts, read
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "message not understood",
		slog.String("message_id", m.id), slog.Int("answers", len(read)), slog.Any("error", err))
	blank := Reading{Understanding: usher.Understanding{
		Intents: []usher.IntentP{}, Outcome: usher.OutcomeAbstain, Model: d.cfg.Models.Bundle().Model, Degraded: true,
	}}
	m.asked, m.read = texts, slices.Repeat([]Reading{blank}, len(texts))
	return nil
}

// choice is the understanding of a choice: certain, and the customer's own.
func (m *message) choice(label string) *usher.Understanding {
	b := m.desk.cfg.Models.Bundle()
	return &usher.Understanding{
		Intents: []usher.IntentP{{Label: label, Probability: 1}}, Outcome: usher.OutcomeAccept, Margin: 1,
		Model: b.Model, Degraded: b.Degraded, Source: "customer",
	}
}

// recent joins what the customer wrote of the matter, oldest first, cut from the
// oldest to what a model reads. Messages that say nothing of the matter, and
// choices, are left out.
func (m *message) recent(before []usher.Message, text string) string {
	parts := []string{text}
	room := float64(m.desk.cfg.ModelTokens) - tokens(text)
	for _, b := range slices.Backward(before) {
		if b.Text == "" || b.Choice != "" {
			continue
		}
		if glue, _ := m.desk.cfg.Models.Glue(b.Text, b.Understanding); glue {
			continue
		}
		n := tokens(b.Text)
		if n > room {
			if tail := lastTokens(b.Text, room); tail != "" {
				parts = append(parts, tail)
			}
			break
		}
		room -= n + 1
		parts = append(parts, b.Text)
	}
	slices.Reverse(parts)
	return strings.Join(parts, "\n")
}

// weight is about how many tokens a character makes: a Chinese one somewhat less
// than one, the letters of a word a quarter each.
func weight(r rune) float64 {
	switch {
	case r < 0x2E80 && unicode.IsLetter(r):
		return 0.28
	case unicode.IsSpace(r):
		return 0.1
	default:
		return 0.75
	}
}

// tokens estimates how much of a model's length s takes.
func tokens(s string) float64 {
	n := 0.0
	for _, r := range s {
		n += weight(r)
	}
	return n
}

// lastTokens returns the end of s that takes at most n tokens.
func lastTokens(s string, n float64) string {
	i := len(s)
	for i > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:i])
		if n -= weight(r); n < 0 {
			break
		}
		i -= size
	}
	return strings.TrimSpace(s[i:])
}

// chosen returns the label that the message chooses: the one that the caller
// names, one on offer whose label, text or number the message is, or what it tells
// the bot.
func chosen(req *Request, open *usher.Conversation) string {
	if req.Choice != "" || open == nil || open.Status != usher.StatusOpen || len(open.Work.Choices) == 0 {
		return req.Choice
	}
	said := bare(req.Text)
	if said == "" {
		return ""
	}
	for i, c := range open.Routing.Choices {
		for _, s := range []string{c.ID, c.Label, c.Text, strconv.Itoa(i + 1)} {
			if s != "" && said == bare(s) {
				return c.ID
			}
		}
	}
	if botHas(open) {
		return toldBot(said)
	}
	return ""
}

// bare is s in lower case without width, spaces and punctuation around it.
func bare(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= '！' && r <= '～':
			return r - '！' + '!'
		case r >= '①' && r <= '⑨':
			return r - '①' + '1'
		default:
			return unicode.ToLower(r)
		}
	}, s)
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.IsSymbol(r) })
}
