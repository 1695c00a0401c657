package policy_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"usher"
	"usher/matcher/policy"
)

// TestFindPhrases is what a manager tries in the test box. marked writes what
// counts in [ ] and what an exception covers in { }.
func TestFindPhrases(t *testing.T) {
	t.Parallel()
	human := usher.KeywordList{Name: "human", Phrases: []string{"人工", "真人"}, Except: []string{"人工智能"}}
	complaint := usher.KeywordList{Name: "complaint", Phrases: []string{"投诉", "complain"}, Except: []string{"不想投诉"}}
	refund := usher.KeywordList{Name: "refund", Phrases: []string{"退款", "退钱", "refund"}}
	for _, tt := range []struct {
		list   usher.KeywordList
		marked string
		held   bool
	}{
		{human, "转[人工]", true},
		{human, "{人工智能}怎么收费", false},
		{human, "{人工智能}太差，转[人工]", true},
		{human, "要[真 人]", true},
		{complaint, "我要[投 诉]你们", true},
		{complaint, "{不想投诉}只想退款", false},
		{complaint, "{不想投诉}，但我还是要[投\u200b訴]", true},
		{complaint, "I will [COMPLAIN]", true},
		{complaint, "complaints", false},
		{refund, "[ｒｅｆｕｎｄ] 还没到", true},
		{refund, "Is it non-[refund]? no: nonrefundable", true},
		{refund, "Is it non-refundable?", false},
		{refund, "Is it nonrefundable?", false},
		{refund, "[退款]，[退 款]，[退錢]", true},
		{refund, "", false},
		{usher.KeywordList{Phrases: []string{"ﬁne"}}, "[fine], [ﬁne]", true},
		{usher.KeywordList{Phrases: []string{"e\u0301té"}}, "[été] [e\u0301te\u0301]", true},
	} {
		text, want, masked := unmark(tt.marked)
		got := policy.FindPhrases(tt.list, text)
		if got.Held != tt.held {
			t.Errorf("%q: held %t, want %t", text, got.Held, tt.held)
		}
		for _, part := range []struct {
			name string
			want []string
			hits []policy.PhraseHit
		}{{"matches", want, got.Matches}, {"masked", masked, got.Masked}} {
			found := []string{}
			for _, h := range part.hits {
				found = append(found, text[h.From:h.To])
			}
			if strings.Join(found, "|") != strings.Join(part.want, "|") {
				t.Errorf("%q: %s %q, want %q", text, part.name, found, part.want)
			}
		}
	}
}

// unmark takes the marks out of a text and returns what they held.
func unmark(s string) (text string, matches, masked []string) {
	var b strings.Builder
	from := 0
	for _, r := range s {
		switch r {
		case '[', '{':
			from = b.Len()
		case ']':
			matches = append(matches, b.String()[from:])
		case '}':
			masked = append(masked, b.String()[from:])
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), matches, masked
}

func FuzzFindPhrases(f *testing.F) {
	for _, s := range []string{"我要投 诉你们", "ｒｅｆｕｎｄ ﬁ e\u0301 \u200b 훈민정음", "a\xffb", "a\u034f\u0301", strings.Repeat("\u0301", 80), "ﷺ İ ẞ ǰ"} {
		f.Add(s, "投诉", "不想")
	}
	f.Fuzz(func(t *testing.T, text, phrase, except string) {
		if got, want := policy.TracedFold(text), policy.Fold(text); got != want {
			t.Fatalf("traced %q, folded %q", got, want)
		}
		l := usher.KeywordList{Name: "k", Phrases: []string{phrase}, Except: []string{except}}
		h := policy.FindPhrases(l, text)
		if h.Held != (len(h.Matches) > 0) {
			t.Fatalf("held %t with %d matches", h.Held, len(h.Matches))
		}
		for _, m := range append(h.Matches, h.Masked...) {
			if m.From < 0 || m.To > len(text) || m.From >= m.To {
				t.Fatalf("from %d to %d of %d", m.From, m.To, len(text))
			}
			if utf8.ValidString(text) && (!utf8.RuneStart(text[m.From]) || m.To < len(text) && !utf8.RuneStart(text[m.To])) {
				t.Fatalf("%d to %d cuts a character", m.From, m.To)
			}
		}
	})
}
