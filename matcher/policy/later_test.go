package policy_test

import (
	"testing"

	"usher"
	"usher/matcher/policy"
)

// What cannot be known long after is never guessed: a placement that hangs on it
// is unsure, and one that does not is as good as any.
func TestWhatCannotBeKnownLater(t *testing.T) {
	t.Parallel()
	at := func(field, op string, value any) *usher.Condition {
		return &usher.Condition{Field: field, Op: op, Value: value}
	}
	busy, text, vip := at("queue.general.waiting", "at_least", 5.0), at("message.text", "contains_any", "refund"), at("customer.tier", "eq", "vip")
	rule := func(id string, when *usher.Condition, then usher.Effect) usher.Rule {
		return usher.Rule{ID: id, When: when, Then: then}
	}
	to := func(queue string) usher.Effect { return usher.Effect{Queue: queue} }
	head := func(s int) usher.Effect { return usher.Effect{HeadStartS: s} }
	for name, c := range map[string]struct {
		rules    []usher.Rule
		textGone bool
		queue    string
		unsure   bool
	}{
		"no rule asks for the floor":              {rules: []usher.Rule{rule("a", vip, to("b"))}, queue: "b"},
		"a full queue decides":                    {rules: []usher.Rule{rule("a", busy, to("b"))}, unsure: true},
		"an earlier row has sent it already":      {rules: []usher.Rule{rule("v", vip, to("b")), rule("a", busy, to("c"))}, queue: "b"},
		"a later row would send it":               {rules: []usher.Rule{rule("a", busy, to("c")), rule("v", vip, to("b"))}, queue: "b", unsure: true},
		"a later row would send it there as well": {rules: []usher.Rule{rule("a", busy, to("b")), rule("v", vip, to("b"))}, queue: "b"},
		"a longer head start":                     {rules: []usher.Rule{rule("v", vip, head(60)), rule("a", busy, head(90))}, unsure: true},
		"a shorter head start":                    {rules: []usher.Rule{rule("v", vip, head(60)), rule("a", busy, head(30))}},
		"either of two":                           {rules: []usher.Rule{rule("a", busy, to("b")), rule("c", busy, to("c"))}, unsure: true},
		"one false part decides an all": {
			rules: []usher.Rule{rule("a", &usher.Condition{All: []usher.Condition{*busy, *at("customer.tier", "eq", "regular")}}, to("b"))},
		},
		"one true part decides an any": {
			rules: []usher.Rule{rule("a", &usher.Condition{Any: []usher.Condition{*busy, *vip}}, to("b"))}, queue: "b",
		},
		"a part that fails hides nothing": {
			rules: []usher.Rule{rule("a", &usher.Condition{All: []usher.Condition{*at("customer.attributes.age", "at_least", 3.0), *busy}}, to("b"))}, unsure: true,
		},
		"a rule that fails as it does when routing": {
			rules: []usher.Rule{rule("a", at("customer.attributes.age", "at_least", 3.0), to("b"))},
		},
		"a text that is kept":             {rules: []usher.Rule{rule("a", text, to("b"))}},
		"a text that is not":              {rules: []usher.Rule{rule("a", text, to("b"))}, textGone: true, unsure: true},
		"a text that nobody asks for":     {rules: []usher.Rule{rule("a", vip, to("b"))}, textGone: true, queue: "b"},
		"a list in a text that is gone":   {rules: []usher.Rule{rule("a", at("message.text", "list_any", "words"), to("b"))}, textGone: true, unsure: true},
		"whether there was any text":      {rules: []usher.Rule{rule("a", at("message.text", "known", nil), to("b"))}, textGone: true, unsure: true},
		"nothing, of a switched off rule": {rules: []usher.Rule{{ID: "a", Enabled: new(bool), When: busy, Then: to("b")}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := usher.DefaultPolicy()
			p.Queues = append(p.Queues, usher.Queue{ID: "b"}, usher.Queue{ID: "c"})
			p.KeywordLists = []usher.KeywordList{{Name: "words", Phrases: []string{"refund"}}}
			p.Rules = c.rules
			e := compile(t, p).Evaluate(&policy.Facts{
				Customer: usher.CustomerFacts{Tier: "vip", Attributes: map[string]any{"age": "old"}}, TextGone: c.textGone,
			})
			if e.Queue != c.queue || e.Unsure != c.unsure {
				t.Errorf("queue %q, unsure %t; want %q, %t", e.Queue, e.Unsure, c.queue, c.unsure)
			}
		})
	}
}
