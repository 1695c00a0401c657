package inference_test

import (
	"math"
	"testing"

	"usher"
	"usher/inference"
)

func open(t *testing.T) *inference.Engine {
	t.Helper()
	e, err := inference.Open(inference.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func understand(t *testing.T, e *inference.Engine, text string) inference.Answer {
	t.Helper()
	as, _, err := e.Understand(t.Context(), []string{text}, inference.Chat)
	if err != nil {
		t.Fatal(err)
	}
	return as[0]
}

func TestHashingKnowsWording(t *testing.T) {
	t.Parallel()
	e := open(t)
	for text, want := range map[string]string{
		"我的退款已经申请一个星期了还没有到账":                            "return_refund",
		"My refund still hasn't arrived after ten days": "return_refund",
		"App一打开就闪退，登录不上去":                               "tech_howto",
		"The app crashes every time I try to log in":    "tech_howto",
		"快递到哪里了":                                        "order_logistics",
		"please cancel my order":                        "cancel_change",
		"转人工":                                           "human_agent",
	} {
		a := understand(t, e, text)
		if got, p := a.Top(); got != want {
			t.Errorf("%s: %s %.2f, want %s", text, got, p, want)
		}
	}
}

func TestHashingSaysThatItIsDegraded(t *testing.T) {
	t.Parallel()
	e := open(t)
	b := e.Bundle()
	if !b.Degraded || b.Model != (usher.ModelRef{Name: "hashing", Version: "1"}) || len(b.Labels) != 12 || b.Embedding == "" {
		t.Errorf("bundle %+v", b)
	}
	a := understand(t, e, "Where is my parcel?")
	if !a.Degraded || a.Model != b.Model || a.Vector.Embedding != b.Embedding {
		t.Errorf("answer %+v", a)
	}
}

func TestAnswersAreWellFormed(t *testing.T) {
	t.Parallel()
	e := open(t)
	for _, text := range []string{"", " \u200b\n", "1234567890", "😂😂", "退款", "where is it", "\xff\xfe", "e\u0301\u0300"} {
		a := understand(t, e, text)
		if a.Intents == nil {
			t.Errorf("%q: intents are null", text)
		}
		sum := 0.0
		for i, x := range a.Intents {
			sum += x.Probability
			if i > 0 && x.Probability > a.Intents[i-1].Probability {
				t.Errorf("%q: intents do not descend", text)
			}
		}
		if len(a.Intents) > 0 && math.Abs(sum-1) > 1e-9 {
			t.Errorf("%q: probabilities sum to %v", text, sum)
		}
		if n := len(a.Vector.Match); n != 0 && n != usher.MatchDim {
			t.Errorf("%q: match vector of %d", text, n)
		}
		length := 0.0
		for _, x := range a.Vector.Match {
			length += float64(x) * float64(x)
		}
		if len(a.Vector.Match) > 0 && math.Abs(length-1) > 1e-3 {
			t.Errorf("%q: length %v", text, length)
		}
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	e := open(t)
	for _, c := range []struct {
		text, tag string
		sure      bool
	}{
		{"我要退货", "zh", true},
		{"App一打开就闪退", "zh", true},
		{"我的iPhone 15 Pro Max不能开机", "zh", true},
		{"Where is my parcel?", "en", true},
		{"please refund", "en", true},
		{"ok", "en", false},
		{"嗯", "zh", false},
		{"", "und", false},
		{"12345 67890", "und", false},
		{"😂👍", "und", false},
		{"quiero devolver mi pedido", "en", false},
		{"返品したいです", "und", false},
		{"Где мой заказ", "und", false},
	} {
		got := understand(t, e, c.text).Language
		if got.Tag != c.tag || (got.Probability >= 0.8) != c.sure {
			t.Errorf("%q: %+v, want %s, sure %v", c.text, got, c.tag, c.sure)
		}
	}
}

func TestNoTextIsAnError(t *testing.T) {
	t.Parallel()
	_, _, err := open(t).Understand(t.Context(), nil, inference.Chat)
	if usher.CodeOf(err) != usher.InvalidArgument {
		t.Errorf("got %v", err)
	}
}
