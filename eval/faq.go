package eval

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"usher"
	"usher/faq"
)

// FAQQuestion is one line of a set of questions to the FAQ.
type FAQQuestion struct {
	ID    string `json:"id"`
	Lang  string `json:"lang"`
	Text  string `json:"text"`
	Entry string `json:"entry"`         // that answers it; "" = none does
	Why   string `json:"why,omitempty"` // there is none: absent | person
	Split string `json:"split"`         // dev | test
}

// FAQSet is a book and questions to it.
type FAQSet struct {
	Entries   []usher.FAQEntry
	Questions []FAQQuestion
}

// ReadFAQ reads entries.jsonl and questions.jsonl. Every question must name an
// entry of the book, or none.
func ReadFAQ(fsys fs.FS) (FAQSet, error) {
	var s FAQSet
	raw, err := fs.ReadFile(fsys, "entries.jsonl")
	if err != nil {
		return s, fmt.Errorf("read entries: %w", err)
	}
	rows, err := faq.Parse(faq.JSON, raw, "")
	if err != nil {
		return s, fmt.Errorf("read entries: %w", err)
	}
	known := map[string]bool{"": true}
	for _, r := range rows {
		if r.Err != nil {
			return s, fmt.Errorf("read entries, line %d: %w", r.Line, r.Err)
		}
		s.Entries = append(s.Entries, r.Entry)
		known[r.Entry.ID] = true
	}
	if raw, err = fs.ReadFile(fsys, "questions.jsonl"); err != nil {
		return s, fmt.Errorf("read questions: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		var q FAQQuestion
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		err := d.Decode(&q)
		if err == nil && (q.Text == "" || q.Lang == "" || !known[q.Entry] || q.Split != "dev" && q.Split != "test") {
			err = errors.New("text, lang, split and a known entry are required")
		}
		if err != nil {
			return s, fmt.Errorf("read questions, line %d: %w", n, err)
		}
		s.Questions = append(s.Questions, q)
	}
	if err := lines.Err(); err != nil {
		return s, fmt.Errorf("read questions: %w", err)
	}
	return s, nil
}

// FAQFinder finds answers.
type FAQFinder interface {
	Find(ctx context.Context, text string, v *usher.Vector, language string) (*usher.FAQFound, error)
}

// FAQScore is how well questions are answered. Shares lie between 0 and 1; of
// nothing they are 0.
type FAQScore struct {
	Questions  int     `json:"questions"`
	Answerable int     `json:"answerable"`  // have an entry
	RecallAt1  float64 `json:"recall_at_1"` // of these: it is the likeliest one found
	RecallAt3  float64 `json:"recall_at_3"` // of these: it is among those found
	Given      int     `json:"given"`       // answers given, sure enough
	Wrong      int     `json:"wrong"`       // of these: not the right one
	WrongGiven float64 `json:"wrong_given"` // the same as a share of those given
	Answered   float64 `json:"answered"`    // of the answerable: the right answer was given
	Suggested  float64 `json:"suggested"`   // of the answerable: it was given, or among the suggestions
	Silent     float64 `json:"silent"`      // of the others: nothing was given nor suggested
	Brier      float64 `json:"brier"`       // mean squared error of the likeliest one's probability
	right      int     // recall@1, counted
	among      int
	answered   int
	suggested  int
	silent     int
	squares    float64
}

// FAQMiss is a question for which the likeliest entry is not the right one, or to
// which an answer was given that it should not have been.
type FAQMiss struct {
	FAQQuestion
	Found []usher.FAQAnswer `json:"found"`
	Given bool              `json:"given"`
}

// FAQReport is the result of one run: scores by split, then by language or "all".
type FAQReport struct {
	Model    usher.ModelRef                  `json:"model"`
	Degraded bool                            `json:"degraded"`
	Scores   map[string]map[string]*FAQScore `json:"scores"`
	Misses   []FAQMiss                       `json:"misses"`
}

// RunFAQ asks every question. The splits of the report are dev, test and all.
func RunFAQ(ctx context.Context, reader Reader, book FAQFinder, questions []FAQQuestion) (FAQReport, error) {
	r := FAQReport{Scores: map[string]map[string]*FAQScore{}, Misses: []FAQMiss{}}
	for _, q := range questions {
		us, vs, err := reader.Understand(ctx, []string{q.Text})
		if err != nil {
			return r, fmt.Errorf("understand %s: %w", q.ID, err)
		}
		r.Model, r.Degraded = us[0].Model, r.Degraded || us[0].Degraded
		found, err := book.Find(ctx, q.Text, vs[0], q.Lang)
		if err != nil {
			return r, fmt.Errorf("find %s: %w", q.ID, err)
		}
		for _, split := range []string{q.Split, "all"} {
			for _, lang := range []string{q.Lang, "all"} {
				if r.Scores[split] == nil {
					r.Scores[split] = map[string]*FAQScore{}
				}
				if r.Scores[split][lang] == nil {
					r.Scores[split][lang] = &FAQScore{}
				}
				r.Scores[split][lang].add(q, found)
			}
		}
		given := len(found.Answers) > 0 && sure(found, 0)
		if len(found.Answers) == 0 && q.Entry != "" || len(found.Answers) > 0 && found.Answers[0].ID != q.Entry && (q.Entry != "" || given) {
			r.Misses = append(r.Misses, FAQMiss{q, found.Answers, given})
		}
	}
	for _, by := range r.Scores {
		for _, s := range by {
			s.close()
		}
	}
	return r, nil
}

// sure reports whether the i-th answer is likely enough to be given.
func sure(f *usher.FAQFound, i int) bool {
	return f.AnswerAt > 0 && f.Answers[i].Probability >= f.AnswerAt
}

func (s *FAQScore) add(q FAQQuestion, f *usher.FAQFound) {
	s.Questions++
	if q.Entry != "" {
		s.Answerable++
	}
	at := slices.IndexFunc(f.Answers, func(a usher.FAQAnswer) bool { return a.ID == q.Entry })
	if q.Entry != "" && at == 0 {
		s.right++
	}
	if q.Entry != "" && at >= 0 {
		s.among++
	}
	given := len(f.Answers) > 0 && sure(f, 0)
	shown := given || len(f.Answers) > 0 && f.Answers[0].Probability >= f.SuggestAt
	if given {
		s.Given++
		if at != 0 || q.Entry == "" {
			s.Wrong++
		} else {
			s.answered++
		}
	}
	if q.Entry != "" && at >= 0 && (given && at == 0 || !given && f.Answers[at].Probability >= f.SuggestAt) {
		s.suggested++
	}
	if q.Entry == "" && !shown {
		s.silent++
	}
	if len(f.Answers) > 0 {
		y := 0.0
		if q.Entry != "" && at == 0 {
			y = 1
		}
		s.squares += (f.Answers[0].Probability - y) * (f.Answers[0].Probability - y)
	}
}

func (s *FAQScore) close() {
	share := func(n, of int) float64 {
		if of == 0 {
			return 0
		}
		return float64(n) / float64(of)
	}
	s.RecallAt1, s.RecallAt3 = share(s.right, s.Answerable), share(s.among, s.Answerable)
	s.WrongGiven = share(s.Wrong, s.Given)
	s.Answered, s.Suggested = share(s.answered, s.Answerable), share(s.suggested, s.Answerable)
	s.Silent = share(s.silent, s.Questions-s.Answerable)
	s.Brier = s.squares / float64(max(1, s.Questions))
}

// WriteTo writes the scores, and the misses when verbose is set.
func (r *FAQReport) WriteTo(w io.Writer, verbose bool) {
	fmt.Fprintf(w, "faq, model %s %s\n", r.Model.Name, r.Model.Version)
	if verbose {
		for _, m := range r.Misses {
			fmt.Fprintf(w, "miss %s %s  wanted %q, got", m.ID, m.Split, m.Entry)
			for _, a := range m.Found {
				fmt.Fprintf(w, " %s %.2f", a.ID, a.Probability)
			}
			if m.Given {
				fmt.Fprint(w, " GIVEN")
			}
			fmt.Fprintf(w, "  %s\n", m.Text)
		}
	}
	fmt.Fprintf(w, "%-5s %-4s %9s %9s %9s %6s %6s %11s %9s %9s %7s %6s\n", "SPLIT", "LANG", "QUESTIONS", "RECALL@1", "RECALL@3", "GIVEN", "WRONG", "WRONG-GIVEN", "ANSWERED", "SUGGESTED", "SILENT", "BRIER")
	for _, split := range slices.Sorted(maps.Keys(r.Scores)) {
		for _, lang := range slices.Sorted(maps.Keys(r.Scores[split])) {
			s := r.Scores[split][lang]
			fmt.Fprintf(w, "%-5s %-4s %9d %9.3f %9.3f %6d %6d %11.3f %9.3f %9.3f %7.3f %6.3f\n", split, lang, s.Questions, s.RecallAt1, s.RecallAt3,
				s.Given, s.Wrong, s.WrongGiven, s.Answered, s.Suggested, s.Silent, s.Brier)
		}
	}
}

// BelowFAQ is Below for the FAQ, on the test questions: recall_at_1 and recall_at_3,
// and right_given, the share of answers given that are right.
func (f Floors) BelowFAQ(r *FAQReport) []string {
	var below []string
	for _, lang := range slices.Sorted(maps.Keys(f["faq"])) {
		s := r.Scores["test"][lang]
		if s == nil {
			s = &FAQScore{WrongGiven: 1}
		}
		for _, figure := range slices.Sorted(maps.Keys(f["faq"][lang])) {
			var got float64
			switch figure {
			case "recall_at_1":
				got = s.RecallAt1
			case "recall_at_3":
				got = s.RecallAt3
			case "right_given":
				got = 1 - s.WrongGiven
			case "answered":
				got = s.Answered
			}
			if floor := f["faq"][lang][figure]; !(got >= floor) {
				below = append(below, fmt.Sprintf("faq %s %s is %.3f, its floor is %.3f", lang, figure, got, floor))
			}
		}
	}
	return below
}
