package policy_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/matcher/policy"
)

// told writes faults as "path code suggestion", in order.
func told(faults []usher.Detail) []string {
	out := []string{}
	for _, f := range faults {
		out = append(out, strings.TrimSpace(f.Path+" "+f.Code+" "+f.Suggestion))
	}
	return out
}

func TestDecodeTellsEveryFault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"empty", ``, []string{"malformed"}},
		{"malformed", "{\n  \"tiers\": [}", []string{"malformed"}},
		{"two values", `{} {}`, []string{"malformed"}},
		{"no object", `[]`, []string{"wrong_type"}},
		{"null", `null`, []string{"wrong_type"}},
		{"two parts wrong", `{"rules":[{"when":"((("}],"queues":7}`, []string{
			"rules[0].when wrong_type", "rules[0].then missing", "queues wrong_type", "rules[0].id missing",
		}},
		{"unknown fields", `{"ruels":[],"offers":{"expires_s":{"mail":3}}}`, []string{
			"ruels unknown_field rules", "offers.expires_s.mail unknown_field email",
		}},
		{"given twice", `{"weights":{},"weights":{}}`, []string{"weights duplicate"}},
		{"wrong types", `{"tiers":[{"name":7,"weight":"2","head_start_s":1.5,"service":true}],"weights":[]}`, []string{
			"tiers[0].name wrong_type", "tiers[0].weight wrong_type", "tiers[0].head_start_s wrong_type 2",
			"tiers[0].service wrong_type", "weights wrong_type",
		}},
		{"tier values", `{"tiers":[{"name":"vip","weight":4},{"name":"vip","weight":0,"service":"dedicated","selection":"rotating"}]}`, []string{
			"tiers[1].weight out_of_range", "tiers[0].weight out_of_range", "tiers[1].name duplicate",
			"tiers[1].service invalid_value dedicated_first", "tiers[1].selection invalid_value rotation",
		}},
		{"lists", `{"keyword_lists":[{"name":"a","phrases":[]},{"name":"b","phrases":["x"," \u200b"],"except":[""]}]}`, []string{
			"keyword_lists[0].phrases missing", "keyword_lists[1].phrases[1] invalid_value", "keyword_lists[1].except[0] invalid_value",
		}},
		{"skills", `{"skills":[{"name":"Refunds","aliases":["退款","refunds "]},{"name":"退款","intents":[""]}]}`, []string{
			"skills[0].aliases[1] duplicate", "skills[1].name duplicate", "skills[1].intents[0] missing",
		}},
		{"queues", `{"queues":[{"id":"a","target_s":0,"max_wait_s":-1,"require":[{"name":"x","level":6}],
			"relax":[{"after_s":60},{"after_s":30},{}],"selection":"best","hours":"day","overflow":[{}]}],"fallback":{"queue":"aa"}}`, []string{
			"queues[0].target_s out_of_range", "queues[0].relax[2].after_s missing",
			"queues[0].max_wait_s out_of_range", "queues[0].require[0].level out_of_range",
			"queues[0].relax[1].after_s out_of_range", "queues[0].selection invalid_value best_fit",
			"queues[0].hours unknown_reference", "queues[0].overflow[0].when missing", "queues[0].overflow[0].do missing",
			"fallback.queue unknown_reference a",
		}},
		{"steps without end", `{"queues":[{"id":"general","relax":[{"after_s":1},{"after_s":2},{"after_s":3},{"after_s":4},{"after_s":5},{"after_s":6},{"after_s":7},
			{"after_s":8},{"after_s":9},{"after_s":10},{"after_s":11},{"after_s":12},{"after_s":13},{"after_s":14},{"after_s":15},{"after_s":16},{"after_s":17},
			{"after_s":18},{"after_s":19},{"after_s":20},{"after_s":21}]}]}`, []string{"queues[0].relax out_of_range"}},
		{"numbers", `{"capacity":{"cost_by_kind":{"web":0,"mail":1},"wrap_up_s":-1},"offers":{"mode":"ofer","expires_s":{"chat":0},"max_misses":1e30},
			"clarify":{"answer_within_s":0,"costs":{"misroute":0,"question":-1}},"conversation":{"reopen_s":-1,"inactive_close_s":0},
			"weights":{"laod":1,"sticky":11}}`, []string{
			"capacity.cost_by_kind.mail unknown_field email", "capacity.cost_by_kind.web out_of_range",
			"offers.expires_s.chat out_of_range", "offers.max_misses out_of_range", "clarify.answer_within_s out_of_range",
			"clarify.costs.misroute out_of_range", "conversation.inactive_close_s out_of_range", "weights.laod unknown_field load",
			"capacity.wrap_up_s out_of_range", "offers.mode invalid_value offer", "clarify.costs.question out_of_range",
			"conversation.reopen_s out_of_range", "weights.sticky out_of_range",
		}},
		{"effects", `{"rules":[{"id":"a","then":{}},{"id":"a","then":{"queue":"generl","block":{},"tags":[""],"dedicated":{"wait_s":-1},"require":[{"level":0}]}},{"id":"c"}]}`, []string{
			"rules[2].then missing", "rules[0].then missing", "rules[1].id duplicate", "rules[1].then.queue unknown_reference general",
			"rules[1].then.dedicated.wait_s out_of_range", "rules[1].then.require[0].name missing",
			"rules[1].then.require[0].level out_of_range", "rules[1].then.tags[0] missing", "rules[1].then.block.reason missing",
		}},
		{
			"no reference faults into a part that could not be read",
			`{"rules":[{"id":"a","then":{"queue":"x"}}],"queues":[{"id":7}],"fallback":{"queue":"y"}}`,
			[]string{
				"queues[0].id wrong_type",
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, faults := policy.Decode([]byte(tt.in))
			if diff := cmp.Diff(tt.want, told(faults)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, f := range faults {
				if f.Message == "" {
					t.Errorf("the fault at %s says nothing", f.Path)
				}
			}
		})
	}
}

func TestDecodeConditions(t *testing.T) {
	t.Parallel()
	const at = "rules[0].when"
	for _, tt := range []struct {
		when string
		want []string
	}{
		{`{"field":"message.text","op":"contains_any","value":["退款"]}`, nil},
		{`{"field":"message.text","op":"contains_any","value":"退款"}`, nil},
		{`{"all":[{"any":[{"field":"time.hour","op":"at_least","value":9}]}]}`, nil},
		{`{"field":"queue.general.waiting","op":"at_least","value":3}`, nil},
		{`{"field":"customer.attributes.level","op":"at_most","value":"2026-01-31T00:00:00Z"}`, nil},
		{`{"field":"customer.tier","op":"at_least","value":"vip"}`, nil},
		{`{}`, []string{" missing"}},
		{`7`, []string{" wrong_type"}},
		{`{"all":[]}`, []string{".all missing"}},
		{`{"all":[{"field":"time.hour","op":"eq","value":1}],"any":[]}`, []string{" invalid_value"}},
		{`{"all":[{"field":"time.hour","op":"eq","value":1}],"field":"time.hour"}`, []string{" invalid_value"}},
		{`{"all":[{"any":[{"none":[{"field":"time.hour","op":"eq","value":1}]}]}]}`, []string{".all[0].any[0].none too_deep"}},
		{`{"field":"message.txt","op":"contains_any","value":["x"]}`, []string{".field unknown_field message.text"}},
		{`{"field":"customer.atributes.x","op":"eq","value":1}`, []string{".field unknown_field customer.attributes"}},
		{`{"field":"hours.day","op":"eq","value":true}`, nil},
		{`{"field":"hours.day","op":"ne","value":"closed"}`, nil},
		{`{"field":"hours.dya","op":"eq","value":true}`, []string{".field unknown_reference hours.day"}},
		{`{"field":"hours.day","op":"eq","value":"close"}`, []string{".value invalid_value closed"}},
		{`{"field":"hours.day","op":"at_least","value":true}`, []string{".op unknown_operator"}},
		{`{"field":"queue.generl.waiting","op":"eq","value":1}`, []string{".field unknown_reference queue.general.waiting"}},
		{`{"field":"queue.general.wating","op":"eq","value":1}`, []string{".field unknown_field queue.general.waiting"}},
		{`{"field":"message.text","op":"contain_any","value":["x"]}`, []string{".op unknown_operator contains_any"}},
		{`{"field":"message.text","op":"contains","value":["x"]}`, []string{".op unknown_operator contains_any"}},
		{`{"field":"message.text","op":"eq","value":"x"}`, []string{".op unknown_operator"}},
		{`{"field":"message.text"}`, []string{".op missing"}},
		{`{"op":"eq","value":1}`, []string{".field missing"}},
		{`{"field":"time.hour","op":"eq"}`, []string{".value missing"}},
		{`{"field":"time.hour","op":"eq","value":24}`, []string{".value out_of_range"}},
		{`{"field":"time.weekday","op":"in","value":[1,"mon",9]}`, []string{".value[1] wrong_type", ".value[2] out_of_range"}},
		{`{"field":"time.hour","op":"eq","value":[1,2]}`, []string{".value wrong_type in"}},
		{`{"field":"channel.kind","op":"eq","value":"wecaht"}`, []string{".value invalid_value wechat"}},
		{`{"field":"channel.kind","op":"in","value":["web","mail"]}`, []string{".value[1] invalid_value email"}},
		{`{"field":"customer.tier","op":"eq","value":"vp"}`, []string{".value unknown_reference vip"}},
		{`{"field":"customer.known","op":"eq","value":"yes"}`, []string{".value wrong_type"}},
		{`{"field":"customer.tags","op":"contains_any","value":[7]}`, []string{".value[0] wrong_type"}},
		{`{"field":"message.text","op":"list_any","value":"complaints"}`, []string{".value unknown_reference complaint"}},
		{`{"field":"message.text","op":"contains_none","value":[]}`, []string{".value missing"}},
		{`{"field":"message.text","op":"contains_none","value":["x","  "]}`, []string{".value[1] invalid_value"}},
		{`{"field":"message.text","op":"matches","value":"a(b"}`, []string{".value invalid_value"}},
		{`{"field":"message.text","op":"matches","value":"(?!x)"}`, []string{".value invalid_value"}},
		{`{"field":"message.text","op":"matches","value":3}`, []string{".value wrong_type"}},
		{`{"field":"history.last_rating","op":"unknown","value":3}`, []string{".value invalid_value"}},
		{`{"field":"customer.attributes.x","op":"at_least","value":"soon"}`, []string{".value wrong_type"}},
		{`{"field":"customer.attributes.x","op":"eq","value":{"a":1}}`, []string{".value wrong_type"}},
		{`{"field":"customer.attributes.x","op":"in","value":[["a"]]}`, []string{".value[0] wrong_type"}},
	} {
		t.Run(tt.when, func(t *testing.T) {
			t.Parallel()
			_, faults := policy.Decode(fmt.Appendf(nil,
				`{"calendars":[{"name":"day"}],"keyword_lists":[{"name":"complaint","phrases":["投诉"]}],"rules":[{"id":"r","when":%s,"then":{"queue":"general"}}]}`, tt.when))
			want := []string{}
			for _, w := range tt.want {
				want = append(want, at+w)
			}
			if diff := cmp.Diff(want, told(faults)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%v", diff, faults)
			}
		})
	}
}

func TestDemoPolicyIsValid(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../cmd/usher/demo/policy.json")
	if err != nil {
		t.Fatal(err)
	}
	p, faults := policy.Decode(raw)
	if len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	if len(p.Queues) < 2 || len(p.Rules) == 0 {
		t.Errorf("only %d queues and %d rules were read", len(p.Queues), len(p.Rules))
	}
	compile(t, p)
}

// TestZeroThatWasWritten tells a zero that is meant from one that was left out.
func TestZeroThatWasWritten(t *testing.T) {
	t.Parallel()
	p, faults := policy.Decode([]byte(`{"conversation":{"reopen_s":0,"agent_lost_s":0}}`))
	want := usher.ConversationPolicy{InactiveCloseS: 1800, SessionGraceS: 90, FirstReplyS: 120}
	if len(faults) > 0 || p.Conversation != want {
		t.Errorf("%+v, %v, want %+v", p.Conversation, faults, want)
	}
}

func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	raw := `{"rules":[` + strings.Repeat(`{"x":1},`, 20_000) + `7]}`
	_, faults := policy.Decode([]byte(raw))
	if n := len(faults); n == 0 || n > 1000 {
		t.Errorf("%d faults", n)
	}
}

func TestDeepNestingIsOneFault(t *testing.T) {
	t.Parallel()
	raw := `{"rules":[{"id":"r","when":` + strings.Repeat(`{"all":[`, 3000) + strings.Repeat(`]}`, 3000) + `,"then":{"queue":"general"}}]}`
	_, faults := policy.Decode([]byte(raw))
	if diff := cmp.Diff([]string{"rules[0].when.all[0].all[0].all too_deep"}, told(faults)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCompileChecksToo(t *testing.T) {
	t.Parallel()
	p := usher.DefaultPolicy()
	p.Fallback.Queue = "nowhere"
	p.Rules = []usher.Rule{{ID: "r", When: &usher.Condition{Field: "time.hour", Op: "eq", Value: "nine"}}}
	c, faults := policy.Compile(usher.PolicyVersion{Document: p})
	if c != nil {
		t.Error("a wrong policy was compiled")
	}
	want := []string{"rules[0].when.value wrong_type", "rules[0].then missing", "fallback.queue unknown_reference"}
	if diff := cmp.Diff(want, told(faults)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"rules":[{"when":"((("}],"queues":7}`, `{"rules":[{"id":"a","when":{"all":[{"field":"message.text","op":"matches","value":"a+"}]},"then":{"queue":"general"}}]}`,
		`{"keyword_lists":[{"name":"k","phrases":["人工"],"except":["人工智能"]}]}`, `{"tiers":[{"name":"a","weight":1e308}]}`,
		`{"queues":[{"id":"q","relax":[{"after_s":5,"require":[{"name":"x","level":2}]}]}]}`, `{"weights":{"load":0.5}}`,
		`{"calendars":[{"name":"day","zone":"Asia/Shanghai","days":{"mon":[{"from":"22:00","to":"06:00"}]},"exceptions":[{"date":"2026-10-01"},
			{"date":"2026-10-10","hours":[{"from":"09:00","to":"24:00"}]}]}],"rules":[{"id":"r","when":{"field":"hours.day","op":"eq","value":"open"},"then":{"queue":"general"}}]}`,
		`{"queues":[{"id":"a","hours":"day","overflow":[{"when":"busy","do":"queue","queue":"b"}]},{"id":"b","overflow":[{"when":"too_long","after_s":9,"do":"invite","to":"web"}]}],
			"calendars":[{"name":"day"}],"overflow":[{"channel":"wechat","when":"nobody_online","do":"bot"}],"reserve":{"units":3},"bot":{"answer_at":0.9,"suggestions":0}}`,
	} {
		f.Add([]byte(s))
	}
	if raw, err := os.ReadFile("../../cmd/usher/demo/policy.json"); err == nil {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, faults := policy.Decode(raw)
		c, again := policy.Compile(usher.PolicyVersion{Document: p})
		if len(faults) > 0 {
			return
		}
		if c == nil {
			t.Fatalf("decoded without a fault, not compiled: %v", again)
		}
		text := "我要退款 I want a refund " + string(raw)
		holds := c.Text(text)
		if !slices.IsSorted(holds) {
			t.Fatalf("indices are not ascending: %v", holds)
		}
		now := time.Date(2026, 10, 1, 9, 30, 0, 0, time.UTC)
		c.Evaluate(&policy.Facts{Holds: holds, Now: now})
		for _, k := range p.Calendars {
			if open, change := c.Open(k.Name, now); !change.IsZero() {
				if !change.After(now) {
					t.Fatalf("calendar %q changes at %s, before %s", k.Name, change, now)
				}
				if then, _ := c.Open(k.Name, change); then == open {
					t.Fatalf("calendar %q does not change at %s", k.Name, change)
				}
			}
		}
	})
}
