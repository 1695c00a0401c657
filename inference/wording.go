package inference

import (
	"strings"
	"unicode"

	"usher"
)

// Labels of the service taxonomy that this package knows by name.
const (
	labelHuman    = "human_agent"
	labelChitchat = "chitchat"
)

// WantsHuman reports whether text asks for a person by keyword: 转人工, 真人客服,
// "talk to a human", "real person please". Words that only contain one, such as
// 人工智能, 真人发 or "cleaning agent", and refusals such as 不要人工 do not count.
func WantsHuman(text string) bool {
	text = strings.ToLower(Clean(text))
	return wantsHumanHan(text) || wantsHumanLatin(words(text))
}

func wantsHumanHan(text string) bool {
	if !strings.ContainsRune(text, '人') {
		return false
	}
	text = strings.NewReplacer(
		// things, not people
		"人工智能", "", "人工费", "", "人工成本", "", "人工授精", "", "人工草", "", "人工湖", "", "人工降雨", "", "人工呼吸", "",
		"人工耳蜗", "", "人工关节", "", "人工合成", "", "人工养殖", "", "人工种植", "", "人工皮革", "", "人工泪液", "", "人工晶体", "",
		"人工翻译", "", "人工成分", "", "人工色素", "", "人工甜味", "", "人工审核", "", "人工钻石", "",
		"真人发", "", "真人秀", "", "真人版", "", "真人cs", "", "真人快打", "", "真人模特", "", "真人照", "", "真人试穿", "", "真人比例", "",
		// a question about the speaker, or a refusal
		"是真人", "", "是不是真人", "", "是人工", "", "不要人工", "", "不用人工", "", "不需要人工", "", "不想转人工", "", "不要转人工", "",
		"不用转人工", "", "别转人工", "", "不是真人", "",
		// a robot that was bought
		"机器人了", "",
		" ", "",
	).Replace(text)
	for _, wish := range []string{
		"人工", "真人", "活人", "找个人", "来个人", "换个人", "叫个人",
		"不要机器人", "不用机器人", "别用机器人", "别让机器人", "不要让机器人", "不想让机器人", "不想跟机器人", "不想和机器人", "不要跟机器人", "不要和机器人",
	} {
		if strings.Contains(text, wish) {
			return true
		}
	}
	return false
}

// wantsHumanLatin looks for a person ("human", "agent", "representative", "real
// person") that is asked for: by a verb at most six words before, by "real",
// "live" or "actual", or by hardly any other word.
func wantsHumanLatin(ws []string) bool {
	for i, w := range ws {
		person := false
		switch w {
		case "human", "humans", "representative", "operator":
			person = true
		case "agent", "rep":
			person = true
		case "person", "people", "someone", "somebody", "human-being":
			person = i > 0 && (qualifies(ws[i-1]) || w != "person" && w != "people" && speaks(ws, i))
		}
		if !person || masked(ws, i) || refused(ws, i) {
			continue
		}
		if len(ws) <= 3 || i > 0 && qualifies(ws[i-1]) || asked(ws, i) {
			return true
		}
	}
	for i := 1; i < len(ws); i++ { // "no bots please"
		if ws[i-1] == "no" && (ws[i] == "bot" || ws[i] == "bots" || ws[i] == "robot" || ws[i] == "robots") {
			return true
		}
	}
	return false
}

func qualifies(w string) bool {
	switch w {
	case "real", "live", "actual", "human":
		return true
	default:
		return false
	}
}

func asked(ws []string, i int) bool {
	for _, w := range ws[max(0, i-6):i] {
		switch w {
		case "talk", "speak", "chat", "connect", "connected", "transfer", "transferred", "get", "give", "need", "want", "reach",
			"through", "switch", "pass", "hand", "call", "speaking", "talking", "contact":
			return true
		}
	}
	return false
}

// speaks: "someone" is a person asked for only after a word of talking.
func speaks(ws []string, i int) bool {
	for _, w := range ws[max(0, i-3):i] {
		switch w {
		case "talk", "speak", "chat", "through", "speaking", "talking":
			return true
		}
	}
	return false
}

func masked(ws []string, i int) bool {
	if i > 0 {
		switch ws[i-1] {
		case "user", "cleaning", "travel", "estate", "shipping", "delivery", "insurance", "booking", "bleaching", "foaming", "sales",
			"your", "the", "previous", "last", "that", "this", "an-other", "another's", "every", "mobile", "network", "tour":
			// "your agent told me", "the representative said": somebody spoken of,
			// unless a word of talking goes before.
			return !speaks(ws, i)
		}
	}
	if i+1 < len(ws) {
		switch ws[i+1] {
		case "resources", "hair", "rights", "error", "body", "made", "size", "nature", "consumption", "readable", "id", "fee",
			"number", "told", "said", "promised", "hung", "was", "who", "verification":
			return true
		}
	}
	return false
}

func refused(ws []string, i int) bool {
	for _, w := range ws[max(0, i-5):i] {
		switch w {
		case "don't", "dont", "without", "not", "never":
			return true
		}
	}
	return false
}

// words returns the Latin words of lower-cased text.
func words(text string) []string {
	text = strings.ReplaceAll(text, "’", "'")
	return strings.FieldsFunc(text, func(r rune) bool {
		return r != '\'' && r != '-' && !unicode.Is(unicode.Latin, r) && !unicode.IsDigit(r)
	})
}

// Glue reports whether text says nothing of the matter: a greeting, an
// acknowledgement, only digits, an order number, emoji or punctuation. Such a
// message does not change what a conversation is about. greeting is set for a
// bare greeting or small talk, which deserves a friendly reply. u may be nil.
func Glue(text string, u *usher.Understanding) (glue, greeting bool) {
	text = strings.ToLower(Clean(text))
	greeted, acknowledged, rest := false, false, false
	var han []rune
	flush := func() {
		if len(han) == 0 {
			return
		}
		g, a, clean := glueHan(string(han))
		greeted, acknowledged, rest = greeted || g, acknowledged || a, rest || !clean
		han = han[:0]
	}
	var latin []string
	start := -1
	for i, r := range text {
		if unicode.Is(unicode.Han, r) {
			han = append(han, r)
		} else if r != ' ' {
			flush()
		}
		if wordRune := unicode.IsLetter(r) && !unicode.Is(unicode.Han, r) || unicode.IsDigit(r) || r == '\'' || r == '-'; wordRune {
			if start < 0 {
				start = i
			}
		} else if start >= 0 {
			latin, start = append(latin, text[start:i]), -1
		}
	}
	flush()
	if start >= 0 {
		latin = append(latin, text[start:])
	}
	g, a, clean := glueLatin(latin)
	greeted, acknowledged, rest = greeted || g, acknowledged || a, rest || !clean
	if !rest {
		return true, greeted
	}
	if u != nil && !u.Degraded && u.Outcome == usher.OutcomeAccept && len([]rune(text)) <= 24 {
		if label, _ := u.Top(); label == labelChitchat {
			return true, !acknowledged
		}
	}
	return false, false
}

// glueHan takes known phrases away, longest first; clean says that nothing is left.
func glueHan(s string) (greeted, acknowledged, clean bool) {
	greetings := []string{
		"请问有人在吗", "有人在吗", "请问在吗", "早上好", "上午好", "中午好", "下午好", "晚上好", "大家好", "有人吗", "有人在", "在不在", "在线吗",
		"你好", "您好", "妳好", "在吗", "在么", "在嘛", "哈喽", "哈啰", "嗨", "喂", "打扰了", "打扰一下", "客服", "亲", "请问", "您", "早安", "早",
	}
	acknowledgements := []string{
		"非常感谢", "谢谢你", "谢谢您", "知道了", "明白了", "了解了", "没问题", "不客气", "辛苦了", "好的好的", "谢谢", "多谢", "感谢", "收到", "明白",
		"了解", "好的", "好吧", "好滴", "可以", "是的", "没事", "再见", "拜拜", "嗯嗯", "嗯", "好", "行", "对", "哦", "噢", "是",
	}
	fillers := []string{"订单号码", "订单编号", "订单号", "快递单号", "运单号", "单号", "订单", "手机号", "号码", "编号", "啊", "呀", "呢", "吗", "了", "吧", "哈", "啦", "我的", "是", "的", "号"}
	for s != "" {
		if n := prefixOf(s, greetings); n > 0 {
			greeted, s = true, s[n:]
		} else if n := prefixOf(s, acknowledgements); n > 0 {
			acknowledged, s = true, s[n:]
		} else if n := prefixOf(s, fillers); n > 0 {
			s = s[n:]
		} else {
			return greeted, acknowledged, false
		}
	}
	return greeted, acknowledged, true
}

func prefixOf(s string, phrases []string) int {
	n := 0
	for _, p := range phrases {
		if strings.HasPrefix(s, p) {
			n = max(n, len(p))
		}
	}
	return n
}

func glueLatin(ws []string) (greeted, acknowledged, clean bool) {
	for _, w := range ws {
		switch w {
		case "hi", "hello", "hey", "hiya", "yo", "morning", "afternoon", "evening", "greetings", "anyone", "anybody", "dear", "hallo", "helo", "nihao":
			greeted = true
		case "ok", "okay", "k", "thanks", "thank", "thx", "ty", "yes", "yep", "yeah", "no", "nope", "sure", "great", "perfect", "cool", "fine",
			"bye", "goodbye", "got", "cheers", "alright", "understood", "noted", "okey":
			acknowledged = true
		case "good", "there", "you", "are", "is", "it", "my", "order", "number", "no.", "id", "very", "much", "so", "and", "the", "team", "sir", "madam",
			"a", "lot", "all", "right", "day", "to", "here", "again", "everyone", "guys", "'", "-":
		default:
			if !strings.ContainsFunc(w, unicode.IsDigit) || digits(w) < 4 && len(w) > digits(w) {
				return greeted, acknowledged, false
			}
		}
	}
	// Fillers alone ("is it all right") say something; they need company.
	hasNumber := false
	for _, w := range ws {
		hasNumber = hasNumber || strings.ContainsFunc(w, unicode.IsDigit)
	}
	return greeted, acknowledged, len(ws) == 0 || greeted || acknowledged || hasNumber
}

func digits(w string) int {
	n := 0
	for _, r := range w {
		if unicode.IsDigit(r) {
			n++
		}
	}
	return n
}
