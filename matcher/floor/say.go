package floor

import "usher"

// said is one of the few sentences that the floor itself says.
type said int

const (
	saidGreeting said = iota
	saidQuestion
	saidInactive
	saidMoved
	saidInvite
	saidLater
	saidGlad
	saidRephrase
	saidDidYouMean
	saidHelped
	saidNotHelped
	saidHuman
)

// say returns the sentence in the language: English for en, Chinese for all others.
func say(language string, what said) string {
	sentence := [...][2]string{
		saidGreeting:   {"您好，请问有什么可以帮您？", "Hello! What can we do for you?"},
		saidQuestion:   {"为了请合适的同事帮您，请问是哪一类问题？", "So that the right person helps you: which of these is it about?"},
		saidInactive:   {"您还在吗？若没有新消息，本次会话将在 5 分钟后结束。", "Are you still there? Without a message this conversation closes in 5 minutes."},
		saidMoved:      {"您已在另一渠道继续本次会话。如果不是您本人，请在这里告诉我们。", "This conversation goes on at another channel. If that was not you, please tell us here."},
		saidInvite:     {"现在这里咨询的人较多。您可以点击链接换个渠道继续，排队位置和聊天内容都会保留，无需重复说明。", "It is busy here right now. Follow the link to go on elsewhere: you keep your place and need not repeat anything."},
		saidLater:      {"现在没有同事在线。请留下您的问题，我们上班后会尽快在这里回复您。", "Nobody is here right now. Please leave your message: we will answer you here as soon as we are back."},
		saidGlad:       {"很高兴能帮到您。", "Glad that helped."},
		saidRephrase:   {"抱歉，我没有找到合适的答案。您可以换个说法，或转人工客服。", "Sorry, I found no good answer. Say it in other words, or ask for a person."},
		saidDidYouMean: {"您想问的是不是下面的问题？", "Is it one of these?"},
		saidHelped:     {"已解决", "That helped"},
		saidNotHelped:  {"没有解决", "That did not help"},
		saidHuman:      {"转人工", "Talk to a person"},
	}[what]
	if usher.Language(language) == "en" {
		return sentence[1]
	}
	return sentence[0]
}
