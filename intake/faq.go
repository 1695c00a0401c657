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

// toldBot is what short words say to a bot that has a conversation: its answer is
// none, or a person is asked for. They are no matter of their own.
func toldBot(said string) string {
	switch said {
	case "no", "no no", "nope", "nah", "not really", "no it didn't", "no it did not", "didn't help", "did not help", "it didn't help",
		"it did not help", "that didn't help", "that did not help", "not helpful", "no help", "wrong",
		"不", "不是", "不是的", "不行", "不对", "不可以", "没", "没有", "没有啊", "没有用", "没用", "没解决", "没有解决", "还是不行", "还是不对", "还是没有":
		return choiceNo
	case "anyone", "anybody", "anyone there", "anybody there", "is anyone there", "is anybody there", "anyone here", "is anyone here",
		"人呢", "人在吗", "人在哪", "人在哪里", "有人吗", "有人么", "有人嘛", "有人在吗", "有没有人", "有没有人在", "没人吗", "没有人吗", "没人在吗",
		"客服", "客服呢", "客服在吗", "客服人呢":
		return choiceHuman
	default:
		return ""
	}
}

// botHas reports whether the bot has the conversation, and nobody else.
func botHas(c *usher.Conversation) bool {
	b := c.Work.Bot
	return c.Status == usher.StatusOpen && b != nil && !b.Done && !b.Helping
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
