package inference_test

import (
	"testing"

	"usher"
	"usher/inference"
)

func TestWantsHuman(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"转人工":                                  true,
		"人工智能怎么收费":                             false,
		"能不能叫真人客服来":                            true,
		"speak to a human":                     true,
		"human please":                         true,
		"can i speak to an agent":              true,
		"人工":                                   true,
		"我要找真人客服！":                             true,
		"不要机器人，转 人 工":                          true,
		"不要机器人":                                true,
		"别让机器人回复我":                             true,
		"我不要机器人回答":                             true,
		"不想跟机器人聊":                              true,
		"扫地机器人坏了":                              false,
		"扫地机器人不要了":                             false,
		"这个机器人我不想要了":                           false,
		"不要机器人了，给我退货":                          false,
		"能不能叫个人来":                              true,
		"有活人吗":                                 true,
		"ＡＩ不行，人工客服":                            true,
		"你们的人工智能音箱坏了":                          false,
		"真人发的假发有吗":                             false,
		"人工费怎么收":                               false,
		"不用转人工，你说就行":                           false,
		"你是真人吗":                                false,
		"我要退货":                                 false,
		"agent":                                true,
		"Human please":                         true,
		"I want to talk to a human":            true,
		"can I speak to a real person":         true,
		"connect me to a representative, now":  true,
		"Please put me through to someone":     true,
		"no bots please":                       true,
		"Let me speak to the agent again":      true,
		"your agent told me to wait":           false,
		"I need a human hair wig":              false,
		"is the cleaning agent safe for wood?": false,
		"human resources department":           false,
		"I don't need a human":                 false,
		"someone stole my parcel":              false,
		"where is my order":                    false,
		"":                                     false,
	} {
		if got := inference.WantsHuman(text); got != want {
			t.Errorf("WantsHuman(%q) = %v", text, got)
		}
	}
}

func TestGlue(t *testing.T) {
	t.Parallel()
	small := &usher.Understanding{Outcome: usher.OutcomeAccept, Intents: []usher.IntentP{{Label: "chitchat", Probability: 0.9}}}
	for _, c := range []struct {
		text           string
		u              *usher.Understanding
		glue, greeting bool
	}{
		{"你好", nil, true, true},
		{"您好，在吗？", nil, true, true},
		{"hi", nil, true, true},
		{"Hello there!", nil, true, true},
		{"Good morning", nil, true, true},
		{"你好 hello", nil, true, true},
		{"好的，谢谢", nil, true, false},
		{"ok thanks", nil, true, false},
		{"1234567890", nil, true, false},
		{"订单号：JD2026112200", nil, true, false},
		{"my order number is 88-1234-5678", nil, true, false},
		{"😂😂👍", nil, true, false},
		{"？？？", nil, true, false},
		{"", nil, true, false},
		{"你好，我要退货", nil, false, false},
		{"hi, where is my parcel", nil, false, false},
		{"请问有货吗", nil, false, false},
		{"订单", nil, true, false},
		{"x200", nil, false, false},
		{"is it all right", nil, false, false},
		{"今天过得怎么样", small, true, true},
		{"今天过得怎么样", nil, false, false},
	} {
		glue, greeting := inference.Glue(c.text, c.u)
		if glue != c.glue || greeting != c.greeting {
			t.Errorf("Glue(%q) = %v, %v", c.text, glue, greeting)
		}
	}
}
