package intake_test

import (
	"cmp"
	"context"
	"errors"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"usher"
	"usher/intake"
)

// shelf is a FAQ of one entry that records what it is asked.
type shelf struct {
	empty, broken bool
	sure          float64 // of its answer; 0 = 0.4
	asked         []string
	vectors       []*usher.Vector
}

func (s *shelf) Empty() bool { return s.empty }

func (s *shelf) Find(_ context.Context, text string, v *usher.Vector, language string) (*usher.FAQFound, error) {
	s.asked, s.vectors = append(s.asked, language+": "+text), append(s.vectors, v)
	if s.broken {
		return nil, errors.New("no")
	}
	return &usher.FAQFound{
		Answers: []usher.FAQAnswer{{ID: "a", Text: "answer", Probability: cmp.Or(s.sure, 0.4)}}, AnswerAt: 0.8, SuggestAt: 0.1,
	}, nil
}

func (s *shelf) Entry(id, language string) (usher.FAQFound, bool) {
	return usher.FAQFound{Answers: []usher.FAQAnswer{{ID: id, Text: language, Probability: 1}}, AnswerAt: 0.8}, id == "a"
}

// door keeps the last arrival.
type door struct {
	*world
	last usher.Arrival
}

func (d *door) Do(ctx context.Context, in usher.Input) (usher.Result, error) {
	if a, ok := in.Body.(usher.Arrival); ok {
		d.last = a
	}
	return d.world.Do(ctx, in)
}

func withFAQ(t *testing.T, s *shelf) (*world, *door) {
	t.Helper()
	w := newWorld(t)
	d := &door{world: w}
	var err error
	w.desk, err = intake.New(intake.Config{
		Reader: w, Models: w.models, Door: d, NewID: w.newID, Now: w.clock, FAQ: s,
		Rules: func() intake.Rules { return w.policy },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, d
}

func TestFoundGoesWithTheMessage(t *testing.T) {
	t.Parallel()
	s := &shelf{}
	w, d := withFAQ(t, s)
	w.say("how long is the warranty", from(user("u1")))
	if d.last.Found == nil || d.last.Found.Answers[0].ID != "a" || len(s.asked) != 1 {
		t.Fatalf("found %+v, asked %v", d.last.Found, s.asked)
	}
	w.say("ok", from(user("u1")))
	if d.last.Found != nil || len(s.asked) != 1 {
		t.Errorf("what says nothing was asked: %v", s.asked)
	}
	s.broken = true
	w.say("how long is a refund", from(user("u2")))
	if d.last.Found != nil || len(s.asked) != 2 {
		t.Errorf("a FAQ that fails: %+v, %v", d.last.Found, s.asked)
	}
	s.empty = true
	w.say("how long is a parcel", from(user("u3")))
	if d.last.Found != nil || len(s.asked) != 2 {
		t.Errorf("an empty FAQ was asked: %v", s.asked)
	}
}

func TestChoicesForTheBot(t *testing.T) {
	t.Parallel()
	s := &shelf{}
	w, d := withFAQ(t, s)
	w.say("how long is the warranty", from(user("u1")))
	before := d.last.Understanding
	choose := func(c string) { w.say("that one", from(user("u1")), func(r *intake.Request) { r.Choice = c }) }
	choose("faq:a")
	if f := d.last.Found; f == nil || f.Answers[0].ID != "a" || f.Answers[0].Probability != 1 || d.last.Message.Choice != "faq:a" {
		t.Errorf("an entry chosen: %+v", f)
	}
	if diff := gocmp.Diff(before, d.last.Understanding); before == nil || diff != "" {
		t.Errorf("the choice of an answer changed what it is about (-want +got):\n%s", diff)
	}
	if choose("faq:gone"); d.last.Found != nil {
		t.Errorf("an entry that is gone: %+v", d.last.Found)
	}
	for _, c := range []string{"faq_ok", "faq_no"} {
		if choose(c); d.last.Message.Choice != c || d.last.WantsHuman || d.last.Found != nil {
			t.Errorf("%s: %+v", c, d.last)
		}
	}
	if choose("human"); !d.last.WantsHuman {
		t.Error("the choice of a person was not heard")
	}
	if len(s.asked) != 1 {
		t.Errorf("a choice was searched for: %v", s.asked)
	}
}

// Whoever is with the bot and says no, or asks whether anybody is there, is
// neither greeted nor left without a word.
func TestWordsForTheBot(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		sure float64 // of the bot's answer
		want string
	}{
		{"No", 0.9, "faq_no"},
		{"no no!", 0.9, "faq_no"},
		{"没有", 0.9, "faq_no"},
		{"不行。", 0.9, "faq_no"},
		{"That did not help", 0.9, "faq_no"},
		{"No", 0, "faq_no"}, // it suggested something
		{"人呢", 0.9, "human"},
		{"人呢？？", 0, "human"},
		{"有人吗", 0.9, "human"},
		{"anyone there?", 0.9, "human"},
		{"客服呢", 0.9, "human"},
		{"no parcel came", 0.9, ""},
		{"有人偷了我的包裹", 0.9, ""},
		{"ok", 0.9, ""},
	} {
		w, d := withFAQ(t, &shelf{sure: tt.sure})
		w.do(usher.CustomerPut{Customer: usher.Customer{ID: "c", Identities: []usher.Identity{user("u")}, CRMTier: usher.TierLowValue}})
		if a := w.say("how long is the warranty", from(user("u"))); a.Routing.State != usher.StateBot {
			t.Fatalf("not with the bot: %+v", a.Routing)
		}
		w.say(tt.text, from(user("u")))
		if d.last.Message.Choice != tt.want || d.last.WantsHuman != (tt.want == "human") {
			t.Errorf("%q: choice %q, wants a person: %v; want %q", tt.text, d.last.Message.Choice, d.last.WantsHuman, tt.want)
		}
	}
	// Without a bot these words mean what they always mean.
	w, d := withFAQ(t, &shelf{})
	w.say("how long is the warranty", from(user("u")))
	for _, text := range []string{"no", "有人吗"} {
		if w.say(text, from(user("u"))); d.last.Message.Choice != "" || d.last.WantsHuman {
			t.Errorf("%q to the queue: %+v", text, d.last)
		}
	}
}
