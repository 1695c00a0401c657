package main

import (
	"os"
	"testing"

	"usher/eval"
)

// TestFAQFloors measures the shipped model on eval/faq: no figure of the test
// questions may be below its floor in eval/baselines.json.
func TestFAQFloors(t *testing.T) {
	t.Parallel()
	raw, err := os.Open("../../eval/baselines.json")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	floors, err := eval.ReadFloors(raw)
	if err != nil {
		t.Fatal(err)
	}
	set, err := eval.ReadFAQ(os.DirFS("../../eval/faq"))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Entries) != 60 || len(set.Questions) != 300 {
		t.Errorf("%d entries, %d questions", len(set.Entries), len(set.Questions))
	}
	e := trainedEngine(t)
	book, err := bookOf(t.Context(), e, set.Entries)
	if err != nil {
		t.Fatal(err)
	}
	r, err := eval.RunFAQ(t.Context(), pipeline{e}, book, set.Questions)
	if err != nil {
		t.Fatal(err)
	}
	for lang, s := range r.Scores["test"] {
		t.Logf("%s: %d questions, recall@1 %.3f, @3 %.3f, %d given, %d wrong", lang, s.Questions, s.RecallAt1, s.RecallAt3, s.Given, s.Wrong)
	}
	for _, below := range floors.BelowFAQ(&r) {
		t.Error(below)
	}
}
