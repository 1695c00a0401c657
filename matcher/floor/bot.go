package floor

import (
	"slices"
	"time"

	"usher"
)

// What a customer can choose besides an intent or an entry of the FAQ.
const (
	choiceHelped    = "faq_ok"
	choiceNotHelped = "faq_no"
	choiceHuman     = "human"
	choiceFAQ       = "faq:" // and the entry's id
)

// botTakes reports whether the bot answers this message before anybody is
// asked: tier or rule wants it, there is a FAQ, and the customer wants no person.
func (s *State) botTakes(c *usher.Conversation, b *usher.Arrival) bool {
	w := &c.Work
	if w.BotWhy == "" || w.WantsHuman || w.Textless {
		return false
	}
	if w.Bot == nil {
		return b.Found != nil && !b.Greeting
	}
	return !w.Bot.Done && !w.Bot.Helping
}

// botTurn lets the bot answer one message. It returns "" when the bot goes on,
// and else why a person takes over.
func (s *State) botTurn(c *usher.Conversation, b *usher.Arrival) (handOver string) {
	w := &c.Work
	bot := usher.BotState{Why: w.BotWhy, Since: s.tx.now}
	if w.Bot != nil {
		bot = *w.Bot // rows that were stored share the old one
	}
	w.Bot = &bot
	switch best := s.confident(c); {
	case b.Message.Choice == choiceHelped:
		bot.Answered, bot.Done = true, true
		c.Routing.Reply, c.Routing.Choices = say(c.Language, saidGlad), nil
		s.say(c, c.Routing.Reply)
		s.finish(c, "resolved")
		return ""
	case b.Message.Choice == choiceNotHelped:
		return s.botFailed(c, usher.ReasonNotHelped, nil)
	case b.Glue:
		s.botWaits(c, c.Routing.Reply, c.Routing.Choices)
		return ""
	case b.Found != nil && best != nil:
		choices := []usher.Choice{
			choice(c.Language, choiceHelped, saidHelped), choice(c.Language, choiceNotHelped, saidNotHelped), choice(c.Language, choiceHuman, saidHuman),
		}
		s.botWaits(c, best.Text, choices)
		s.answerWith(c, best, choices)
		return ""
	default:
		return s.botFailed(c, usher.ReasonBotFailed, s.suggestions(b))
	}
}

// botFailed counts a failure: a person takes over after as many as the policy
// allows, until then the bot suggests or asks for other words.
func (s *State) botFailed(c *usher.Conversation, why string, suggest []usher.Choice) (handOver string) {
	bot := c.Work.Bot
	bot.Failures++
	bot.Answered = false
	if bot.Failures >= s.policy.Bot().Failures {
		bot.Done = true
		c.Work.Asked = true // it was asked enough
		return why
	}
	text := say(c.Language, saidRephrase)
	if len(suggest) > 0 {
		text = say(c.Language, saidDidYouMean)
	}
	choices := slices.Concat(suggest, []usher.Choice{choice(c.Language, choiceHuman, saidHuman)})
	s.botWaits(c, text, choices)
	s.send(c, usher.Message{ID: s.id("msg"), Author: usher.ByBot, Text: text, Choices: choices}, nil)
	return ""
}

// botWaits leaves c with the bot, which said text, until the customer answers or
// is silent for good.
func (s *State) botWaits(c *usher.Conversation, text string, choices []usher.Choice) {
	w := &c.Work
	c.Status = usher.StatusOpen
	w.Choices = nil
	for _, ch := range choices {
		w.Choices = append(w.Choices, ch.ID)
	}
	w.AnswerBy = s.tx.now.Add(time.Duration(s.policy.Document().Conversation.InactiveCloseS) * time.Second)
	d := c.Routing.DecisionID
	if c.Routing.State != usher.StateBot {
		d = s.decide(c, string(usher.StateBot), w.Bot.Why)
	}
	c.Routing = usher.Routing{State: usher.StateBot, Reason: w.Bot.Why, Queue: c.Queue, Reply: text, Choices: choices, DecisionID: d}
	s.touch(c)
}

// answerWith sends one entry of the FAQ.
func (s *State) answerWith(c *usher.Conversation, a *usher.FAQAnswer, choices []usher.Choice) {
	bot := c.Work.Bot
	bot.Answers++
	bot.Last, bot.Answered = a.ID, true
	s.fact(usher.EventAnsweredByBot, c, usher.ConversationData{Reason: bot.Why, FAQ: a.ID})
	s.send(c, usher.Message{ID: s.id("msg"), Author: usher.ByBot, Text: a.Text, FAQ: a.ID, Choices: choices}, nil)
}

// helpMeanwhile lets the bot answer a message of a customer who waits in line.
func (s *State) helpMeanwhile(c *usher.Conversation, b *usher.Arrival) {
	w := &c.Work
	if c.Status != usher.StatusQueued || w.Bot == nil || !w.Bot.Helping || w.WantsHuman || b.Found == nil {
		return
	}
	best := s.confident(c)
	if best == nil || best.ID == w.Bot.Last {
		return
	}
	bot := *w.Bot
	w.Bot = &bot
	c.Routing.State, c.Routing.Reply = usher.StateOverflow, best.Text
	s.answerWith(c, best, nil)
	s.touch(c)
}

// botSilence ends a conversation that its customer left with the bot. Who wrote
// where silence means nothing, and was not answered, has a person.
func (s *State) botSilence(c *usher.Conversation) {
	switch w := &c.Work; {
	case w.Bot.Answered:
		s.finish(c, "resolved")
		return
	case !w.Kind.AbandonsBySilence():
		s.botGivesUp(c)
		return
	}
	s.abandon(c)
}

// botGivesUp lets a person take over from the bot.
func (s *State) botGivesUp(c *usher.Conversation) {
	c.Work.Bot = c.Work.Bot.Over()
	c.Work.AnswerBy, c.Work.Choices = time.Time{}, nil
	s.enqueue(c, usher.ReasonBotFailed)
	s.retryLater(c)
}

// confident returns the answer that is sure enough to be given, or nil.
func (s *State) confident(c *usher.Conversation) *usher.FAQAnswer {
	f := c.Work.Found
	if f == nil || len(f.Answers) == 0 || f.AnswerAt <= 0 { // without a fitted threshold no probability means anything
		return nil
	}
	at := f.AnswerAt
	if p := s.policy.Bot().AnswerAt; p > 0 {
		at = p
	}
	if f.Answers[0].Probability < at {
		return nil
	}
	return &f.Answers[0]
}

// suggestions are the entries worth naming.
func (s *State) suggestions(b *usher.Arrival) []usher.Choice {
	var choices []usher.Choice
	if b.Found == nil {
		return nil
	}
	for _, a := range b.Found.Answers {
		if a.Probability >= b.Found.SuggestAt && len(choices) < s.policy.Bot().Suggestions {
			choices = append(choices, usher.Choice{ID: choiceFAQ + a.ID, Label: a.Question, Text: a.Question})
		}
	}
	return choices
}

func choice(language, id string, text said) usher.Choice {
	t := say(language, text)
	return usher.Choice{ID: id, Label: t, Text: t}
}
