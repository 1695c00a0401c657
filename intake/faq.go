package intake

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"usher"
)

// Choices that say something to the bot, besides intents.
const (
	choiceEntry = "faq:" // and the id of the entry wanted
	choiceOK    = "faq_ok"
	choiceNo    = "faq_no"
	choiceHuman = "human"
)

// toBot reports whether a choice speaks to the bot and names no intent.
func toBot(choice string) bool {
	return strings.HasPrefix(choice, choiceEntry) || choice == choiceOK || choice == choiceNo || choice == choiceHuman
}

// says takes a choice that speaks to the bot and names no intent: what the
// conversation is about stays as it was understood.
func (m *message) says(before []usher.Message, a *usher.Arrival) bool {
	choice := a.Message.Choice
	id, entry := strings.CutPrefix(choice, choiceEntry)
	switch {
	case entry:
		if f := m.desk.cfg.FAQ; f != nil {
			if found, ok := f.Entry(id, m.language(before)); ok {
				a.Found = &found
			}
		}
	case choice == choiceHuman:
		a.WantsHuman = true
	case choice == choiceOK, choice == choiceNo:
	default:
		return false
	}
	if m.open != nil {
		a.Understanding, a.Vector = m.open.Work.Understanding, m.open.Work.Vector
	}
	return true
}

// language is that of the conversation, or else of the newest text in it, the
// customer, or the channel.
func (m *message) language(before []usher.Message) string {
	if m.open != nil && m.open.Language != "" {
		return m.open.Language
	}
	for _, b := range slices.Backward(before) {
		if u := b.Understanding; u != nil && u.Language.Tag != "" {
			return u.Language.Tag
		}
	}
	if l := m.person.customer.Language; l != "" {
		return l
	}
	return m.channel.Language
}

// find asks the FAQ, for a conversation that no agent has. Without an answer from
// the FAQ the message is routed as if there were none.
func (m *message) find(ctx context.Context, text string, read *Reading, a *usher.Arrival) {
	f := m.desk.cfg.FAQ
	if f == nil || f.Empty() || m.open != nil && slices.Contains([]usher.Status{usher.StatusAssigned, usher.StatusWrapping}, m.open.Status) {
		return
	}
	language := read.Understanding.Language.Tag
	if language == "" || read.Understanding.Language.Probability < 0.5 {
		language = m.language(nil)
	}
	var v *usher.Vector
	if read.Vector.Embedding != "" {
		v = &read.Vector
	}
	found, err := f.Find(ctx, text, v, language)
	if err != nil {
		m.desk.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "FAQ not asked", slog.String("message_id", m.id), slog.Any("error", err))
		return
	}
	a.Found = found
}
