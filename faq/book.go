package faq

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"usher"
)

const (
	answersKept = 3  // answers that Find returns at most
	hitsAsked   = 64 // texts that the index is asked for
	likesKept   = 16 // entries that wording alone makes candidates
)

// Index finds vectors.
type Index interface {
	Search(ctx context.Context, collection string, v usher.Vec, k int) ([]usher.Hit, error)
}

// Book finds answers. It is empty until Set, and safe for concurrent use.
type Book struct {
	index Index
	fits  map[string]calibration

	mu    sync.RWMutex
	shelf *shelf
}

// shelf is a book at one time; it never changes.
type shelf struct {
	entries   []Entry // enabled ones, by id
	at        map[string]int
	embedding string
	questions []map[string][]float64 // unit vectors by text id, by entry
	answers   []map[string][]float64
	posting   map[string][]place // by term
	in        map[string]int     // entries that have the term
}

// place says that an entry has a term, and whether its wordings do or only its answers.
type place struct {
	entry    int
	question bool
}

// NewBook returns an empty book over an index, which Set does not fill.
func NewBook(index Index) (*Book, error) {
	fits, err := calibrations()
	if err != nil {
		return nil, err
	}
	return &Book{index: index, fits: fits, shelf: stock("", nil, nil)}, nil
}

// Set makes entries the book, with the vectors of their texts under an embedding
// as far as there are any; disabled entries are left out. Embedding "" means that
// no trained model answers.
func (b *Book) Set(embedding string, entries []Entry, rows []usher.VectorRow) {
	s := stock(embedding, entries, rows)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shelf = s
}

func (b *Book) now() *shelf {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.shelf
}

// Empty reports whether there is nothing to find.
func (b *Book) Empty() bool { return len(b.now().entries) == 0 }

// Answers reports whether the bot may answer by this book: a model speaks and the
// book was calibrated for it. Otherwise it only suggests.
func (b *Book) Answers() bool {
	e := b.now().embedding
	return e != "" && b.fits[e].AnswerAt > 0
}

// Entry returns an enabled entry as the answer to a customer who chose it.
func (b *Book) Entry(id, language string) (usher.FAQFound, bool) {
	s := b.now()
	i, ok := s.at[id]
	if !ok {
		return usher.FAQFound{}, false
	}
	fit := b.fit(s.embedding)
	return usher.FAQFound{
		Answers: []usher.FAQAnswer{answer(&s.entries[i], language, 1)}, AnswerAt: cmp.Or(fit.AnswerAt, 1), SuggestAt: fit.SuggestAt,
	}, true
}

func answer(e *Entry, language string, p float64) usher.FAQAnswer {
	return usher.FAQAnswer{ID: e.ID, Question: in(e.Titles, language), Text: in(e.Answers, language), Probability: p}
}

// fit returns the calibration of an embedding, or that of wording alone.
func (b *Book) fit(embedding string) calibration {
	if c, ok := b.fits[embedding]; ok {
		return c
	}
	return b.fits[""]
}

// Find returns the at most three entries that most probably answer text, likeliest
// first, in the language asked for or else one that they have. v is the vector of
// text, nil if it has none: then wording alone decides, and AnswerAt is 0, which
// means that nothing found is sure enough to be given. An index that fails is done
// without.
func (b *Book) Find(ctx context.Context, text string, v *usher.Vector, language string) (*usher.FAQFound, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cands, fit := b.candidates(ctx, text, v)
	logits := make([]float64, len(cands))
	for i, c := range cands {
		logits[i] = fit.logit(c.X)
	}
	p := fit.probabilities(logits, utf8.RuneCountInString(text))
	order := make([]int, len(cands))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(p[j], p[i]), cmp.Compare(cands[i].ID, cands[j].ID)) })
	s := b.now()
	found := &usher.FAQFound{Answers: []usher.FAQAnswer{}, AnswerAt: fit.AnswerAt, SuggestAt: fit.SuggestAt}
	for _, i := range order {
		if len(found.Answers) == answersKept {
			break
		}
		if at, ok := s.at[cands[i].ID]; ok {
			found.Answers = append(found.Answers, answer(&s.entries[at], language, p[i]))
		}
	}
	return found, nil
}

// Candidate is an entry that may answer, with what speaks for it.
type Candidate struct {
	ID string            `json:"id"`
	X  [features]float64 `json:"x"`
}

// Features returns the candidates for text, for fitting a calibration.
func (b *Book) Features(ctx context.Context, text string, v *usher.Vector) []Candidate {
	cands, _ := b.candidates(ctx, text, v)
	return cands
}

// candidates returns the entries that meaning or wording bring up, by id, and the
// calibration that holds for them.
func (b *Book) candidates(ctx context.Context, text string, v *usher.Vector) ([]Candidate, calibration) {
	s := b.now()
	x := map[int]*[features]float64{}
	s.like(text, x)
	_, fitted := b.fits[s.embedding]
	known := v != nil && s.embedding != "" && v.Embedding == s.embedding && fitted
	if known {
		q := unit(v.Full)
		near := map[int]bool{}
		hits, err := b.index.Search(ctx, Collection(s.embedding), v.Full, hitsAsked)
		for _, h := range hits {
			id, _, _ := strings.Cut(h.ID, "#")
			if i, ok := s.at[id]; ok {
				near[i] = true
			}
		}
		if err != nil || len(hits) == 0 { // the shelf has the vectors too
			for i := range s.entries {
				near[i] = true
			}
		}
		keep(x, near)
		for i, f := range x {
			f[cosQuestion], f[cosAnswer] = best(q, s.questions[i]), best(q, s.answers[i])
		}
	} else {
		keep(x, nil)
	}
	out := make([]Candidate, 0, len(x))
	for i, f := range x {
		out = append(out, Candidate{s.entries[i].ID, *f})
	}
	slices.SortFunc(out, func(a, b Candidate) int { return cmp.Compare(a.ID, b.ID) })
	if known {
		return out, b.fits[s.embedding]
	}
	return out, b.fits[""]
}

// keep leaves in x the entries that are near, and the likeliest others by wording.
func keep(x map[int]*[features]float64, near map[int]bool) {
	var others []int
	for i := range x {
		if !near[i] {
			others = append(others, i)
		}
	}
	slices.SortFunc(others, func(i, j int) int {
		return cmp.Or(cmp.Compare(x[j][covQuestion]+x[j][covAnswer], x[i][covQuestion]+x[i][covAnswer]), cmp.Compare(i, j))
	})
	for _, i := range others[min(len(others), likesKept):] {
		delete(x, i)
	}
	for i := range near {
		if x[i] == nil {
			x[i] = &[features]float64{}
		}
	}
}

// like fills in how far entries have the words of text.
func (s *shelf) like(text string, x map[int]*[features]float64) {
	terms := words(text)
	total := 0.0
	for _, w := range terms {
		total += rarity(w, s.in[w], len(s.entries))
	}
	if total == 0 {
		return
	}
	for _, w := range terms {
		share := rarity(w, s.in[w], len(s.entries)) / total
		for _, p := range s.posting[w] {
			f := x[p.entry]
			if f == nil {
				f = &[features]float64{}
				x[p.entry] = f
			}
			f[covAnswer] += share
			if p.question {
				f[covQuestion] += share
			}
		}
	}
}

func stock(embedding string, entries []Entry, rows []usher.VectorRow) *shelf {
	s := &shelf{embedding: embedding, at: map[string]int{}, posting: map[string][]place{}, in: map[string]int{}}
	vectors := make(map[string]usher.Vec, len(rows))
	for _, r := range rows {
		if r.Vector.Embedding == embedding {
			vectors[r.ID] = r.Vector.Full
		}
	}
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	for _, e := range sorted {
		if !e.Enabled {
			continue
		}
		i := len(s.entries)
		s.entries, s.at[e.ID] = append(s.entries, e), i
		s.questions, s.answers = append(s.questions, map[string][]float64{}), append(s.answers, map[string][]float64{})
		has := map[string]bool{} // true: a wording has it
		for _, t := range Texts(e) {
			for _, w := range words(t.Text) {
				has[w] = has[w] || !t.Answer
			}
			if u := unit(vectors[t.ID]); u != nil && t.Answer {
				s.answers[i][t.ID] = u
			} else if u != nil {
				s.questions[i][t.ID] = u
			}
		}
		for w, question := range has {
			s.posting[w] = append(s.posting[w], place{i, question})
			s.in[w]++
		}
	}
	return s
}

// best is the greatest cosine, at least 0.
func best(q []float64, of map[string][]float64) float64 {
	most := 0.0
	for _, v := range of {
		if len(v) != len(q) {
			continue
		}
		sum := 0.0
		for i := range v {
			sum += q[i] * v[i]
		}
		most = max(most, sum)
	}
	return most
}

// unit is v at length 1, nil if it has no direction.
func unit(v usher.Vec) []float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return nil
	}
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x) / math.Sqrt(sum)
	}
	return out
}
