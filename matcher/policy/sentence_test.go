package policy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/matcher/policy"
)

// sentences reads a document and returns what it says, by path.
func sentences(t *testing.T, in, lang string) map[string]string {
	t.Helper()
	p, faults := policy.Decode([]byte(in))
	if len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	out := make(map[string]string)
	for _, s := range policy.Sentences(p, lang) {
		if _, ok := out[s.Path]; ok {
			t.Errorf("two sentences at %s", s.Path)
		}
		if strings.Contains(s.Text, "%!") || strings.Contains(s.Text, "（）") || s.Text == "" {
			t.Errorf("%s: %q", s.Path, s.Text)
		}
		out[s.Path] = s.Text
	}
	return out
}

func TestSentences(t *testing.T) {
	t.Parallel()
	const head = `"queues":[{"id":"general","name":"通用"},{"id":"vip","name":"VIP 专席"}],"keyword_lists":[{"name":"发票","phrases":["发票","开票"],"except":["发票夹"]}],
		"calendars":[{"name":"office","zone":"Asia/Shanghai","days":{"mon":[{"from":"09:00","to":"12:00"},{"from":"13:30","to":"18:00"}],"tue":[{"from":"09:00","to":"18:00"}],
		"wed":[{"from":"09:00","to":"18:00"}],"fri":[{"from":"22:00","to":"06:00"}]},"exceptions":[{"date":"2026-10-01","name":"国庆节"},{"date":"2026-10-10","hours":[{"from":"09:00","to":"18:00"}]}]},{"name":"never"}]`
	rule := func(when, then string) string {
		if when != "" {
			when = `"when":` + when + `,`
		}
		return `{` + head + `,"rules":[{"id":"r",` + when + `"then":` + then + `}]}`
	}
	for _, tt := range []struct{ in, path, zh, en string }{
		{
			rule(`{"all":[{"field":"channel.kind","op":"eq","value":"app"},{"field":"customer.tier","op":"at_least","value":"vip"}]}`,
				`{"queue":"vip","head_start_s":300,"require":[{"name":"退款","level":4}]}`), "rules[r]",
			"若渠道类型为App且客户等级不低于「vip」，则进入「VIP 专席」队列，按已多等 5 分钟排序，只派给具备「退款」4 级及以上的坐席。",
			"If the kind of channel is App and the customer's tier is “vip” or above, then send it to “VIP 专席”, rank it as if it had waited 5 min more, offer it only to agents with 退款 4+.",
		},
		{
			rule(`{"any":[{"field":"message.text","op":"list_any","value":"发票"},{"field":"message.text","op":"contains_any","value":["报销","抬头"]}]}`, `{"queue":"general","tags":["票"]}`), "rules[r]",
			"若消息命中词表「发票」，或消息提到「报销」、「抬头」，则进入「通用」队列，打上标签「票」。",
			"If the message mentions a word of the list “发票” or the message mentions “报销” or “抬头”, then send it to “通用”, tag it “票”.",
		},
		{
			rule(`{"all":[{"any":[{"field":"intent.probability","op":"at_least","value":0.8},{"field":"intent.label","op":"in","value":["refund","return"]}]},{"none":[{"field":"hours.office","op":"eq","value":"open"}]}]}`, `{"bot_first":true}`), "rules[r]",
			"若（意图把握不低于 80%，或意图为「refund」、「return」之一）且以下都不成立（「office」处于开放时间），则先由机器人接待。",
			"If (the intent is at least 80 % sure or the intent is “refund” or “return”) and none of (“office” is open) holds, then let the bot answer first.",
		},
		{
			rule(`{"all":[{"field":"hours.office","op":"ne","value":true},{"field":"customer.known","op":"eq","value":false},{"field":"message.attachments","op":"eq","value":true}]}`, `{"block":{"reason":"广告"}}`), "rules[r]",
			"若「office」处于关闭时间且客户未识别且消息带附件，则拒绝接待（原因：广告）。",
			"If “office” is closed and the customer is not known and the message has attachments, then refuse it (广告).",
		},
		{
			rule(`{"all":[{"field":"queue.vip.oldest_s","op":"at_least","value":120},{"field":"customer.attributes.spend%_12m","op":"at_least","value":5000},{"field":"time.weekday","op":"in","value":[6,7]},{"field":"history.last_rating","op":"unknown"}]}`,
				`{"agent":"anna","dedicated":{"wait_s":20}}`), "rules[r]",
			"若队列「vip」的最长等待不少于2 分钟且客户资料「spend%_12m」不少于5000且星期（UTC）为周六、周日之一且上次评分未知，则派给坐席「anna」，先等专属坐席，最多 20 秒。",
			"If the longest wait in “vip” is at least 2 min and the customer's “spend%_12m” is at least 5000 and the day (UTC) is Saturday or Sunday and the last rating is not known, then give it to the agent “anna”, wait up to 20 s for the dedicated agent.",
		},
		{rule(``, `{"team":"100% 组"}`), "rules[r]", "所有会话：只派给「100% 组」组。", "Always offer it only to the team “100% 组”."},
		{rule(``, `{"team":"a"}`), "keyword_lists[发票]", "词表「发票」：「发票」、「开票」；不含「发票夹」。", "Keyword list “发票”: “发票”, “开票”; but not “发票夹”."},
		{rule(``, `{"team":"a"}`), "tiers[vip]", "等级「vip」：权重 2，按已多等 2 分钟排序，先派专属坐席，再派资深坐席。", "Tier “vip”: weight 2, ranked as if they had waited 2 min more, the dedicated agent first, then senior ones."},
		{
			rule(``, `{"team":"a"}`), "calendars[office]", "日历「office」（Asia/Shanghai）：周一 09:00–12:00、13:30–18:00；周二至周三 09:00–18:00；周五 22:00–次日 06:00。",
			"Calendar “office” (Asia/Shanghai): Monday 09:00–12:00, 13:30–18:00; Tuesday to Wednesday 09:00–18:00; Friday 22:00–06:00 the next day.",
		},
		{rule(``, `{"team":"a"}`), "calendars[office].exceptions[2026-10-01]", "日历「office」在 2026-10-01（国庆节） 休息。", "Calendar “office” is closed on 2026-10-01 (国庆节)."},
		{rule(``, `{"team":"a"}`), "calendars[office].exceptions[2026-10-10]", "日历「office」在 2026-10-10 开放 09:00–18:00。", "Calendar “office” is open on 2026-10-10: 09:00–18:00."},
		{rule(``, `{"team":"a"}`), "calendars[never]", "日历「never」（UTC）：平日都不开放。", "Calendar “never” (UTC): closed every day of the week."},
		{rule(``, `{"team":"a"}`), "fallback", "其余会话进入「通用」队列。", "Everyone else goes to “通用”."},
		{
			`{"queues":[{"id":"q","name":"账单","target_s":30,"max_wait_s":90,"require":[{"name":"发票","level":3}],"relax":[{"after_s":30,"require":[{"name":"发票","level":1}]},{"after_s":60}],"selection":"rotation"}]}`,
			"queues[q]", "队列「账单」：目标 30 秒内接起，等待 90 秒后优先于一切，只派给具备「发票」3 级及以上的坐席，等待 30 秒后放宽到「发票」1 级及以上，等待 1 分钟后不限技能，在合适的坐席中轮流派。",
			"Queue “账单”: answered within 30 s, before all others after 90 s, only to agents with 发票 3+, after 30 s to agents with 发票 1+, after 1 min to anyone, in turn among those who fit.",
		},
		{
			`{"overflow":[{"channel":"wechat","when":"too_long","after_s":60,"do":"invite","to":"web"}]}`, "overflow[0]",
			"在微信渠道的任何队列等待超过 1 分钟时：邀请客户到网页继续。", "When someone has waited 1 min in any queue on WeChat: they are invited to go on at web.",
		},
		{
			`{"queues":[{"id":"general","overflow":[{"when":"busy","after_s":30,"do":"queue","queue":"b"},{"when":"nobody_online","do":"bot"}]},{"id":"b","name":"后备"}]}`, "queues[general].overflow[0]",
			"「general」的坐席都忙且已等待 30 秒时：转到「后备」队列等待。", "When everybody suitable for “general” is busy and someone has waited 30 s: they wait in “后备” instead.",
		},
		{
			`{"queues":[{"id":"general","overflow":[{"when":"nobody_online","do":"bot"}]}]}`, "queues[general].overflow[0]",
			"「general」无合适坐席在线时：由机器人先回答。", "When nobody suitable is online for “general”: the bot answers meanwhile.",
		},
		{`{"reserve":{"units":2},"bot":{"answer_at":0.9}}`, "reserve", "为「vip」预留 2 个容量。", "2 units are kept free for “vip”."},
		{
			`{"reserve":{"units":2},"bot":{"answer_at":0.9}}`, "bot", "机器人至少 90% 的把握才作答，最多推荐 3 条；2 次未能解决即转人工。",
			"The bot answers from 90 % sure, and suggests up to 3; after 2 failures a person takes over.",
		},
	} {
		if got := sentences(t, tt.in, "zh-CN")[tt.path]; got != tt.zh {
			t.Errorf("%s\n got %s\nwant %s", tt.path, got, tt.zh)
		}
		if got := sentences(t, tt.in, "en")[tt.path]; got != tt.en {
			t.Errorf("%s\n got %s\nwant %s", tt.path, got, tt.en)
		}
	}
}

func TestTheDemoPolicyCanBeSaid(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../cmd/usher/demo/policy.json")
	if err != nil {
		t.Fatal(err)
	}
	zh, en := sentences(t, string(raw), "zh"), sentences(t, string(raw), "en")
	if len(zh) != len(en) || len(zh) < 20 {
		t.Errorf("%d sentences in Chinese, %d in English", len(zh), len(en))
	}
}

func TestDiffWords(t *testing.T) {
	t.Parallel()
	read := func(in string) usher.Policy {
		p, faults := policy.Decode([]byte(in))
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		return p
	}
	a := read(`{"rules":[{"id":"a","then":{"tags":["x"]}},{"id":"b","then":{"tags":["y"]}},{"id":"c","then":{"tags":["z"]}},{"id":"e","then":{"tags":["e"]}}],
		"overflow":[{"when":"busy","do":"bot"},{"when":"busy","do":"leave_message"}]}`)
	b := read(`{"rules":[{"id":"c","then":{"tags":["z"]}},{"id":"a","then":{"tags":["x2"]}},{"id":"d","then":{"tags":["w"]}},{"id":"e","name":"new","then":{"tags":["e"]}}],
		"overflow":[{"when":"busy","do":"leave_message"}],"reserve":{"units":1}}`)
	got := []string{}
	for _, d := range policy.DiffWords(a, b) {
		line := d.Kind + " " + d.Path
		if d.Before != nil {
			line += " <" + d.Before.ZH
		}
		if d.After != nil {
			line += " >" + d.After.ZH
		}
		got = append(got, line)
	}
	want := []string{
		"removed rules[b] <所有会话：打上标签「y」。",
		"removed overflow[0] <任何队列的坐席都忙时：由机器人先回答。",
		"moved rules[c] <所有会话：打上标签「z」。 >所有会话：打上标签「z」。",
		"changed rules[a] <所有会话：打上标签「x」。 >所有会话：打上标签「x2」。",
		"added rules[d] >所有会话：打上标签「w」。",
		"changed rules[e].name <规则名「e」 >规则名「new」",
		"changed reserve <不为任何等级预留容量。 >为「vip」预留 1 个容量。",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if same := policy.DiffWords(a, a); len(same) != 0 {
		t.Errorf("a policy differs from itself: %v", same)
	}
}
