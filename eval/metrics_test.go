package eval_test

import (
	"math"
	"strings"
	"testing"

	"usher/eval"
)

func TestMeasure(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pairs             []eval.Pair
		accuracy, macroF1 float64
	}{
		"nothing":   {nil, 0, 0},
		"all right": {[]eval.Pair{{"a", "a"}, {"b", "b"}}, 1, 1},
		// a: precision 2/3, recall 1, F1 .8; b: precision 1, recall 1/2, F1 2/3.
		"one wrong": {[]eval.Pair{{"a", "a"}, {"a", "a"}, {"b", "b"}, {"b", "a"}}, .75, (.8 + 2.0/3) / 2},
		// A label that is never right is no row of the mean, but costs precision and recall elsewhere.
		"foreign": {[]eval.Pair{{"a", "a"}, {"a", "x"}}, .5, 2.0 / 3},
		"silence": {[]eval.Pair{{"a", ""}}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := eval.Measure(tc.pairs)
			if s.Accuracy != tc.accuracy || math.Abs(s.MacroF1-tc.macroF1) > 1e-12 {
				t.Errorf("got accuracy %v and macro-F1 %v, want %v and %v", s.Accuracy, s.MacroF1, tc.accuracy, tc.macroF1)
			}
		})
	}
}

func TestFloors(t *testing.T) {
	t.Parallel()
	floors, err := eval.ReadFloors(strings.NewReader(`{"s": {"en": {"accuracy": 0.5}, "zh": {"macro_f1": 0.5}}}`))
	if err != nil {
		t.Fatal(err)
	}
	good := eval.Report{Set: "s", Languages: map[string]eval.Score{"en": {Accuracy: .5}, "zh": {MacroF1: .7}}}
	if below := floors.Below(good); below != nil {
		t.Errorf("got %v, want nothing below", below)
	}
	for name, r := range map[string]eval.Report{
		"too low":      {Set: "s", Languages: map[string]eval.Score{"en": {Accuracy: .49}, "zh": {MacroF1: .7}}},
		"not measured": {Set: "s", Languages: map[string]eval.Score{"en": {Accuracy: .5}}},
		"no number":    {Set: "s", Languages: map[string]eval.Score{"en": {Accuracy: math.NaN()}, "zh": {MacroF1: .7}}},
	} {
		if below := floors.Below(r); len(below) != 1 {
			t.Errorf("%s: got %v, want one line", name, below)
		}
	}
}

func TestReadRows(t *testing.T) {
	t.Parallel()
	rows, err := eval.ReadRows(strings.NewReader(`{"id":"1","lang":"en","text":"hi","intent":"chitchat"}` + "\n\n"))
	if err != nil || len(rows) != 1 || rows[0].Intent != "chitchat" {
		t.Errorf("got %v, %v, want one row", rows, err)
	}
	for name, text := range map[string]string{
		"unknown field": `{"id":"1","lang":"en","text":"hi","intent":"chitchat","colour":1}`,
		"no intent":     `{"id":"1","lang":"en","text":"hi"}`,
		"no JSON":       `hello`,
	} {
		if _, err := eval.ReadRows(strings.NewReader("\n" + text)); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: got %v, want an error that names line 2", name, err)
		}
	}
}
