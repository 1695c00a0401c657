package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/matcher/policy"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                     "",
		" \u200b\r\n":          "",
		"ｒｅｆｕｎｄ　还 没到":          "refund 还没到",
		"我要投\u200b 诉你们":        "我要投诉你们",
		"我要退貨，請轉人工":            "我要退货,请转人工",
		"Credit \n\t  Card":    "credit card",
		"退款 ok 退款":             "退款 ok 退款",
		"e\u0301 É":            "é é",
		"a\u200db\x00c\ufffdd": "abcd",
		"발송 문의":                "발송문의",
	} {
		if got := policy.Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

// The first rows are the table by which the feature was specified.
func TestKeywordLists(t *testing.T) {
	t.Parallel()
	p := usher.DefaultPolicy()
	p.KeywordLists = []usher.KeywordList{
		{Name: "human", Phrases: []string{"人工", "真人"}, Except: []string{"人工智能"}},
		{Name: "complaint", Phrases: []string{"投诉", "complain"}, Except: []string{"不想投诉"}},
		{Name: "refund", Phrases: []string{"退款", "退钱", "refund"}},
		{Name: "card", Phrases: []string{"credit card", "信用卡"}},
		{Name: "code", Phrases: []string{"E-12", "12315", "C++", "c", "aa"}, Except: []string{"aab"}},
	}
	c := compile(t, p)
	for in, want := range map[string]string{
		"转人工":                   "human",
		"人工智能怎么收费":              "",
		"我要投 诉你们":               "complaint",
		"不想投诉只想退款":              "refund",
		"ｒｅｆｕｎｄ 还没到":            "refund",
		"Is it non-refundable?": "",

		"人工智能太差，转人工":            "human",
		"人工智能人工智能":              "",
		"轉人工，我要投訴":              "human complaint",
		"转\u200b人\u200b\u200b工": "human",
		"我要refund啊":             "refund",
		"REFUND!":               "refund",
		"refund_id":             "",
		"prerefund":             "",
		"a Credit\n CARD, 信用 卡": "card",
		"creditcard":            "",
		"see E-12.":             "code",
		"see E-123":             "",
		"打12315投诉":              "complaint code",
		"I know C++ well":       "code",
		"vitamin c":             "code",
		"cc":                    "",
		"aa aab":                "code",
		"aab":                   "",
		"":                      "",
	} {
		got := c.Keywords(in)
		if strings.Join(got, " ") != want {
			t.Errorf("%q holds %v, want %q", in, got, want)
		}
		for _, i := range c.Text(in) {
			if i >= len(p.KeywordLists) {
				t.Errorf("%q: index %d beyond the lists", in, i)
			}
		}
	}
}

// facts are a customer with much behind him, on a Sunday at 23:30 UTC.
func facts() *policy.Facts {
	value, rating := 1200.5, 4
	return &policy.Facts{
		Language:    "zh-CN",
		Attachments: true,
		Channel:     usher.Channel{ID: "web", Kind: usher.KindWeb},
		Understanding: &usher.Understanding{
			Intents: []usher.IntentP{{Label: "refund", Probability: 0.7}}, Outcome: usher.OutcomeClarify,
		},
		Customer: usher.CustomerFacts{
			Known: true, Tier: usher.TierRegular, Value: &value, Tags: []string{"press"},
			Attributes: map[string]any{
				"level": "gold", "orders_12m": 12.0, "trial": false, "cities": []any{"上海", "Paris"},
				"last_order_at": "2026-05-01T00:00:00Z", "nothing": nil, "empty": "", "deep": map[string]any{"a": 1.0},
			},
		},
		History:   usher.History{Open: 1, Conversations30d: 3, LastAgent: "li", LastRating: &rating},
		Transfers: 1, Reopened: 2,
		Now: time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC),
		Queue: func(id string) policy.QueueFacts {
			if id == "general" {
				return policy.QueueFacts{Waiting: 5, OldestS: 70, FreeUnits: 0}
			}
			return policy.QueueFacts{}
		},
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	const text = "你好，我的訂單 A-77 要退款"
	for _, tt := range []struct {
		when string
		want string // yes, no, or part of the error
	}{
		{`{"field":"message.text","op":"contains_any","value":["投诉","退款"]}`, "yes"},
		{`{"field":"message.text","op":"contains_any","value":["订单"]}`, "yes"},
		{`{"field":"message.text","op":"contains_none","value":["退款"]}`, "no"},
		{`{"field":"message.text","op":"contains_none","value":["投诉"]}`, "yes"},
		{`{"field":"message.text","op":"list_any","value":"refund"}`, "yes"},
		{`{"field":"message.text","op":"list_any","value":["complaint","refund"]}`, "yes"},
		{`{"field":"message.text","op":"list_any","value":"complaint"}`, "no"},
		{`{"field":"message.text","op":"matches","value":"[A-Z]-\\d+"}`, "yes"},
		{`{"field":"message.text","op":"matches","value":"a-\\d+"}`, "no"},
		{`{"field":"message.text","op":"matches","value":"(?i)a-\\d+"}`, "yes"},
		{`{"field":"message.text","op":"known"}`, "yes"},
		{`{"field":"message.text","op":"unknown"}`, "no"},
		{`{"field":"message.attachments","op":"eq","value":true}`, "yes"},
		{`{"field":"message.attachments","op":"ne","value":true}`, "no"},
		{`{"field":"message.language","op":"eq","value":"zh"}`, "yes"},
		{`{"field":"message.language","op":"eq","value":"zh-tw"}`, "no"},
		{`{"field":"message.language","op":"not_in","value":["en","de"]}`, "yes"},
		{`{"field":"channel.id","op":"in","value":["web","app"]}`, "yes"},
		{`{"field":"channel.kind","op":"ne","value":"email"}`, "yes"},
		{`{"field":"intent.label","op":"eq","value":"refund"}`, "yes"},
		{`{"field":"intent.probability","op":"at_least","value":0.7}`, "yes"},
		{`{"field":"intent.probability","op":"at_least","value":0.71}`, "no"},
		{`{"field":"understanding.outcome","op":"eq","value":"clarify"}`, "yes"},
		{`{"field":"customer.tier","op":"at_least","value":"low_value"}`, "yes"},
		{`{"field":"customer.tier","op":"at_least","value":"vip"}`, "no"},
		{`{"field":"customer.tier","op":"at_most","value":"vip"}`, "yes"},
		{`{"field":"customer.value","op":"at_most","value":1200}`, "no"},
		{`{"field":"customer.known","op":"eq","value":true}`, "yes"},
		{`{"field":"customer.tags","op":"contains_any","value":["press","staff"]}`, "yes"},
		{`{"field":"customer.tags","op":"contains_none","value":["staff"]}`, "yes"},
		{`{"field":"history.open","op":"at_least","value":1}`, "yes"},
		{`{"field":"history.conversations_30d","op":"in","value":[1,2]}`, "no"},
		{`{"field":"history.last_agent","op":"eq","value":"li"}`, "yes"},
		{`{"field":"history.last_rating","op":"at_most","value":2}`, "no"},
		{`{"field":"conversation.transfers","op":"eq","value":1}`, "yes"},
		{`{"field":"conversation.reopened","op":"at_least","value":2}`, "yes"},
		{`{"field":"time.hour","op":"eq","value":23}`, "yes"},
		{`{"field":"time.weekday","op":"eq","value":7}`, "yes"},
		{`{"field":"queue.general.waiting","op":"at_least","value":5}`, "yes"},
		{`{"field":"queue.general.oldest_s","op":"at_least","value":71}`, "no"},
		{`{"field":"queue.general.free_units","op":"eq","value":0}`, "yes"},

		// Attributes have their type with the customer.
		{`{"field":"customer.attributes.level","op":"eq","value":"gold"}`, "yes"},
		{`{"field":"customer.attributes.level","op":"not_in","value":["silver"]}`, "yes"},
		{`{"field":"customer.attributes.level","op":"contains_any","value":["GOLD"]}`, "yes"},
		{`{"field":"customer.attributes.level","op":"matches","value":"^go"}`, "yes"},
		{`{"field":"customer.attributes.orders_12m","op":"at_least","value":12}`, "yes"},
		{`{"field":"customer.attributes.orders_12m","op":"eq","value":12}`, "yes"},
		{`{"field":"customer.attributes.trial","op":"eq","value":false}`, "yes"},
		{`{"field":"customer.attributes.cities","op":"contains_any","value":["paris"]}`, "yes"},
		{`{"field":"customer.attributes.cities","op":"contains_none","value":["上海"]}`, "no"},
		{`{"field":"customer.attributes.last_order_at","op":"at_least","value":"2026-04-30T23:00:00-01:00"}`, "yes"},

		// What is absent meets no comparison, 'not equal' included.
		{`{"field":"customer.attributes.city","op":"eq","value":"x"}`, "no"},
		{`{"field":"customer.attributes.city","op":"ne","value":"x"}`, "no"},
		{`{"field":"customer.attributes.city","op":"not_in","value":["x"]}`, "no"},
		{`{"field":"customer.attributes.city","op":"contains_none","value":["x"]}`, "no"},
		{`{"field":"customer.attributes.city","op":"unknown"}`, "yes"},
		{`{"field":"customer.attributes.nothing","op":"unknown"}`, "yes"},
		{`{"field":"customer.attributes.empty","op":"known"}`, "no"},
		{`{"none":[{"field":"customer.attributes.city","op":"eq","value":"x"}]}`, "yes"},

		// What has another type is an error, not a 'no'.
		{`{"field":"customer.attributes.level","op":"at_least","value":3}`, "customer.attributes.level is a text, the rule needs a number"},
		{`{"field":"customer.attributes.orders_12m","op":"eq","value":"12"}`, "is a number"},
		{`{"field":"customer.attributes.orders_12m","op":"ne","value":"12"}`, "is a number"},
		{`{"field":"customer.attributes.orders_12m","op":"matches","value":"1"}`, "is a number"},
		{`{"field":"customer.attributes.deep","op":"contains_any","value":["1"]}`, "is an object"},
		{`{"field":"customer.attributes.deep","op":"ne","value":1}`, "is an object"},
		{`{"field":"customer.attributes.cities","op":"eq","value":"Paris"}`, "is a list"},
		{`{"field":"customer.attributes.level","op":"at_most","value":"2026-01-01T00:00:00Z"}`, "the rule needs a moment"},

		// An error spoils a group only where the answer hangs on it.
		{`{"all":[{"field":"customer.attributes.level","op":"at_least","value":3},{"field":"time.hour","op":"eq","value":23}]}`, "is a text"},
		{`{"all":[{"field":"customer.attributes.level","op":"at_least","value":3},{"field":"time.hour","op":"eq","value":1}]}`, "no"},
		{`{"any":[{"field":"customer.attributes.level","op":"at_least","value":3},{"field":"time.hour","op":"eq","value":23}]}`, "yes"},
		{`{"any":[{"field":"customer.attributes.level","op":"at_least","value":3},{"field":"time.hour","op":"eq","value":1}]}`, "is a text"},
		{`{"none":[{"field":"customer.attributes.level","op":"at_least","value":3},{"field":"time.hour","op":"eq","value":1}]}`, "is a text"},
		{`{"none":[{"field":"customer.attributes.level","op":"at_least","value":3},{"field":"time.hour","op":"eq","value":23}]}`, "no"},
		{`{"all":[{"any":[{"field":"time.hour","op":"eq","value":1},{"field":"channel.id","op":"eq","value":"web"}]},{"none":[{"field":"channel.id","op":"eq","value":"app"}]}]}`, "yes"},
	} {
		t.Run(tt.when, func(t *testing.T) {
			t.Parallel()
			p, faults := policy.Decode(fmt.Appendf(nil, `{"keyword_lists":[{"name":"complaint","phrases":["投诉"]},{"name":"refund","phrases":["退款"]}],
				"rules":[{"id":"r","when":%s,"then":{"queue":"general"}}]}`, tt.when))
			if len(faults) > 0 {
				t.Fatalf("faults: %v", faults)
			}
			// A policy is stored as JSON, and must mean the same when it comes back.
			raw, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var stored usher.Policy
			if err := json.Unmarshal(raw, &stored); err != nil {
				t.Fatal(err)
			}
			for _, p := range []usher.Policy{p, stored} {
				c := compile(t, p)
				f := facts()
				f.Holds = c.Text(text)
				e := c.Evaluate(f)
				got := "no"
				if len(e.Hits) > 0 {
					got = "yes"
					if e.Hits[0].Error != "" {
						got = e.Hits[0].Error
					}
				}
				if got != tt.want && (tt.want == "yes" || tt.want == "no" || !strings.Contains(got, tt.want)) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if (got == "yes") != (e.Queue == "general") {
					t.Errorf("%q, and the queue is %q", got, e.Queue)
				}
			}
		})
	}
}

func TestNothingKnown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		when string
		want string
	}{
		{`{"field":"intent.label","op":"ne","value":"x"}`, ""},
		{`{"field":"intent.label","op":"unknown"}`, "queue general"},
		{`{"field":"intent.probability","op":"at_most","value":1}`, ""},
		{`{"field":"understanding.outcome","op":"not_in","value":["accept"]}`, ""},
		{`{"field":"customer.value","op":"at_most","value":1}`, ""},
		{`{"field":"history.last_rating","op":"unknown"}`, "queue general"},
		{`{"field":"message.language","op":"ne","value":"en"}`, ""},
		{`{"field":"message.text","op":"contains_none","value":["x"]}`, "queue general"},
		{`{"field":"message.text","op":"unknown"}`, "queue general"},
		{`{"field":"customer.tags","op":"unknown"}`, "queue general"},
		{`{"field":"queue.general.waiting","op":"eq","value":0}`, "error"},
	} {
		p, faults := policy.Decode(fmt.Appendf(nil, `{"rules":[{"id":"r","when":%s,"then":{"queue":"general"}}]}`, tt.when))
		if len(faults) > 0 {
			t.Fatalf("%s: %v", tt.when, faults)
		}
		c := compile(t, p)
		got := ""
		for _, h := range c.Evaluate(&policy.Facts{Holds: c.Text("")}).Hits {
			got = h.Effect
			if h.Error != "" {
				got = "error"
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.when, got, tt.want)
		}
	}
}

func TestEffectsAddUp(t *testing.T) {
	t.Parallel()
	no := false
	p := usher.DefaultPolicy()
	p.Queues = append(p.Queues, usher.Queue{ID: "billing"})
	p.Skills = []usher.Skill{{Name: "Refunds", Aliases: []string{"退款"}}}
	p.Rules = []usher.Rule{
		{ID: "off", Enabled: &no, Then: usher.Effect{Queue: "general"}},
		{ID: "never", When: &usher.Condition{Field: "channel.id", Op: "eq", Value: "fax"}, Then: usher.Effect{Queue: "general"}},
		{ID: "one", Then: usher.Effect{
			Queue: "billing", HeadStartS: 60, Tags: []string{"a", "b"},
			Require: []usher.SkillLevel{{Name: "退款", Level: 2}}, Prefer: []usher.SkillLevel{{Name: "x", Level: 1}},
		}},
		{ID: "two", Then: usher.Effect{
			Queue: "general", Agent: "li", HeadStartS: 30, Tags: []string{"b", "c"},
			Require: []usher.SkillLevel{{Name: "refunds", Level: 3}}, Dedicated: &usher.Dedicated{WaitS: 20},
		}},
		{ID: "three", Then: usher.Effect{Team: "t", HeadStartS: 90, BotFirst: true, Block: &usher.BlockEffect{Reason: "spam"}}},
		{ID: "four", Then: usher.Effect{
			Queue: "general", Agent: "wang", Team: "u", BotFirst: true, Block: &usher.BlockEffect{Reason: "other"},
			Dedicated: &usher.Dedicated{WaitS: 5},
		}},
		{ID: "bad", When: &usher.Condition{Field: "customer.attributes.n", Op: "at_least", Value: 1.0}, Then: usher.Effect{Queue: "general"}},
	}
	c := compile(t, p)
	got := c.Evaluate(&policy.Facts{Customer: usher.CustomerFacts{Attributes: map[string]any{"n": "many"}}})
	want := policy.Effects{
		Block: "spam", Blocked: true, BlockRule: "three", Queue: "billing", QueueRule: "one", Agent: "li", AgentRule: "two", BotRule: "three", Team: "t",
		Dedicated: &usher.Dedicated{WaitS: 20}, BotFirst: true, HeadStartS: 90,
		Require: []usher.SkillLevel{{Name: "Refunds", Level: 3}}, Prefer: []usher.SkillLevel{{Name: "x", Level: 1}},
		Tags: []string{"a", "b", "c"},
		Hits: []usher.RuleHit{
			{ID: "one", Effect: "queue billing, head start 60 s, require Refunds 2, prefer x 1, tag a, tag b"},
			{ID: "two", Effect: "agent li, dedicated agent, waiting 20 s, require Refunds 3, tag b, tag c"},
			{ID: "three", Effect: "block spam, team t, head start 90 s, bot first"},
			{ID: "four", Effect: "nothing: earlier rules have set it"},
			{ID: "bad", Error: "customer.attributes.n is a text, the rule needs a number"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, c.Evaluate(&policy.Facts{Customer: usher.CustomerFacts{Attributes: map[string]any{"n": "many"}}})); diff != "" {
		t.Errorf("the second evaluation differs (-first +second):\n%s", diff)
	}
}

func TestEqualTextConditionsShareAnIndex(t *testing.T) {
	t.Parallel()
	p := usher.DefaultPolicy()
	p.KeywordLists = []usher.KeywordList{{Name: "l", Phrases: []string{"保修"}}}
	text := func(id, op string, value any) usher.Rule {
		return usher.Rule{ID: id, When: &usher.Condition{Field: "message.text", Op: op, Value: value}, Then: usher.Effect{Tags: []string{id}}}
	}
	p.Rules = []usher.Rule{
		text("a", "contains_any", []string{"退款", "REFUND"}),
		text("b", "contains_any", []any{"refund", "退 款", "退款"}),
		text("c", "contains_none", []any{"refund", "退款"}),
		text("d", "matches", "x+"),
		text("e", "matches", "x+"),
	}
	c := compile(t, p)
	for in, want := range map[string][]int{"": {}, "退款": {1}, "xx 保修 refund": {0, 1, 2}} {
		if diff := cmp.Diff(want, c.Text(in)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
	if got := c.Evaluate(&policy.Facts{Holds: c.Text("xx")}).Tags; strings.Join(got, "") != "cde" {
		t.Errorf("tags %v, want c d e", got)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	a := usher.DefaultPolicy()
	a.Rules = []usher.Rule{
		{ID: "one", Then: usher.Effect{Queue: "general"}},
		{ID: "two", Then: usher.Effect{Queue: "general"}},
		{ID: "three", Then: usher.Effect{Queue: "general"}},
		{ID: "four", Then: usher.Effect{Tags: []string{"x"}}},
	}
	if d := policy.Diff(a, a); len(d) != 0 {
		t.Errorf("a policy differs from itself: %v", d)
	}
	b := usher.DefaultPolicy()
	b.Rules = []usher.Rule{
		{ID: "four", Then: usher.Effect{Tags: []string{"x", "y"}}},
		{ID: "one", Then: usher.Effect{Queue: "general", HeadStartS: 5}},
		{ID: "new", Then: usher.Effect{Queue: "general"}},
		{ID: "three", Then: usher.Effect{Queue: "general"}},
	}
	b.Weights = map[string]float64{"load": 2}
	b.Tiers = append([]usher.Tier{}, a.Tiers...)
	b.Tiers[0].Weight = 3
	b.Offers.ExpiresS.Chat = 20
	got := []string{}
	for _, d := range policy.Diff(a, b) {
		got = append(got, fmt.Sprintf("%s %s", d.Kind, d.Path))
	}
	want := []string{
		"changed tiers[vip].weight",
		"removed rules[two]", "moved rules[four]", "changed rules[four].then.tags", "added rules[one].then.head_start_s",
		"added rules[new]", "changed offers.expires_s.chat", "added weights.load",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, d := range policy.Diff(a, b) {
		if d.Path == "tiers[vip].weight" && (d.Before != 2.0 || d.After != 3.0) {
			t.Errorf("before %v, after %v", d.Before, d.After)
		}
	}
}

// thousand is a policy of 1,000 rules of which a few hold.
func thousand(tb testing.TB) *policy.Compiled {
	tb.Helper()
	p := usher.DefaultPolicy()
	p.KeywordLists = []usher.KeywordList{{Name: "danger", Phrases: []string{"冒烟", "着火", "smoke"}, Except: []string{"没冒烟"}}}
	for i := range 1000 {
		c := usher.Condition{All: []usher.Condition{
			{Field: "message.text", Op: "contains_any", Value: []any{fmt.Sprintf("产品%d", i), fmt.Sprintf("product %d", i)}},
			{Any: []usher.Condition{
				{Field: "customer.tier", Op: "in", Value: []any{"vip", "regular"}},
				{Field: "intent.probability", Op: "at_least", Value: 0.5},
			}},
		}}
		p.Rules = append(p.Rules, usher.Rule{ID: fmt.Sprintf("r%d", i), When: &c, Then: usher.Effect{Queue: "general", Tags: []string{fmt.Sprintf("p%d", i)}}})
	}
	c, faults := policy.Compile(usher.PolicyVersion{Version: 1, Document: p})
	if len(faults) > 0 {
		tb.Fatal(faults)
	}
	return c
}

const benchText = "你好，我上周买的产品17一直没有收到，帮我查一下物流 order 20260101, thank you"

func BenchmarkEvaluate1000Rules(b *testing.B) {
	c := thousand(b)
	f := facts()
	f.Holds = c.Text(benchText)
	b.ReportAllocs()
	for b.Loop() {
		if e := c.Evaluate(f); len(e.Hits) == 0 {
			b.Fatal("no rule holds")
		}
	}
}

func BenchmarkText1000Rules(b *testing.B) {
	c := thousand(b)
	b.ReportAllocs()
	for b.Loop() {
		if len(c.Text(benchText)) == 0 {
			b.Fatal("nothing holds")
		}
	}
}

func BenchmarkFold(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		policy.Fold(benchText)
	}
}

func BenchmarkText1000RulesLongText(b *testing.B) {
	c := thousand(b)
	text := strings.Repeat(benchText, usher.MaxTextBytes/len(benchText))
	b.ReportAllocs()
	for b.Loop() {
		c.Text(text)
	}
}

// A phrase is found wherever it stands between marks, and a text of many
// conditions is answered as each alone would be.
func FuzzKeywords(f *testing.F) {
	for _, s := range []string{"退款", "refund", "C++", "e\u0301", "ａ b", "İ", "ﬁ", "한국", "a\u200bb", "\xff", "投 诉", "\u0308x"} {
		f.Add(s, "我要退款 I want a refund")
	}
	f.Fuzz(func(t *testing.T, phrase, text string) {
		if policy.Fold(phrase) == "" {
			return
		}
		p := usher.DefaultPolicy()
		p.KeywordLists = []usher.KeywordList{{Name: "it", Phrases: []string{"zz9", phrase}}, {Name: "not", Phrases: []string{phrase}, Except: []string{phrase}}}
		c, faults := policy.Compile(usher.PolicyVersion{Version: 1, Document: p})
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		for _, s := range []string{phrase, "。" + phrase + "。"} {
			if got := c.Keywords(s); len(got) != 1 || got[0] != "it" {
				t.Errorf("%q in %q: %v", phrase, s, got)
			}
		}
		found := strings.Contains(policy.Fold(text), policy.Fold(phrase))
		if got := c.Keywords(text); len(got) > 0 && !found {
			t.Errorf("%q is found in %q", phrase, text)
		}
	})
}
