package intake_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/intake"
)

// shelf is a FAQ of one entry that records what it is asked.
type shelf struct {
	empty, broken bool
	asked         []string
	vectors       []*usher.Vector
}

func (s *shelf) Empty() bool { return s.empty }

func (s *shelf) Find(_ context.Context, text string, v *usher.Vector, language string) (*usher.FAQFound, error) {
	s.asked, s.vectors = append(s.asked, language+": "+text), append(s.vectors, v)
	if s.broken {
		return nil, errors.New("no")
	}
	return &usher.FAQFound{Answers: []usher.FAQAnswer{{ID: "a", Text: "answer", Probability: 0.4}}, AnswerAt: 0.8, SuggestAt: 0.1}, nil
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
	if diff := cmp.Diff(before, d.last.Understanding); before == nil || diff != "" {
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
