package policy

import (
	"slices"
	"sort"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"usher"
)

// PhraseHit is where a phrase stands in a text: its bytes from From to To, as the
// customer wrote them.
type PhraseHit struct {
	Phrase string `json:"phrase"`
	From   int    `json:"from"`
	To     int    `json:"to"`
}

// ListHit is how a keyword list stands to a text. Matches are the phrases that
// count, Masked the exceptions that were found; both in the order of the text.
// Held is what a rule would be told.
type ListHit struct {
	Name    string      `json:"name"`
	Held    bool        `json:"held"`
	Matches []PhraseHit `json:"matches"`
	Masked  []PhraseHit `json:"masked"`
}

// FindPhrases looks for a list's phrases in a text, as routing does.
func FindPhrases(l usher.KeywordList, text string) ListHit {
	t := trace(text)
	return t.find(l)
}

// KeywordHits returns the keyword lists of which a phrase or an exception stands
// in text, in the order of the document.
func (c *Compiled) KeywordHits(text string) []ListHit {
	hits := []ListHit{}
	t := trace(text)
	for _, l := range c.doc.KeywordLists {
		if h := t.find(l); len(h.Matches) > 0 || len(h.Masked) > 0 {
			hits = append(hits, h)
		}
	}
	return hits
}

// traced is a folded text that knows where each of its bytes comes from.
type traced struct {
	folded   string
	from, to []int // by byte of folded: the bytes of the text behind its character
}

// trace folds s as [Fold] does.
func trace(s string) traced {
	shown, at := make([]byte, 0, len(s)), make([]int, 0, len(s)+1) // visible, and where each byte was
	for i, r := range s {
		kept := visible(string(r))
		for range len(kept) {
			at = append(at, i)
		}
		shown = append(shown, kept...)
	}
	at = append(at, len(s))
	var t traced
	var b strings.Builder
	var last rune
	space := false
	put := func(r rune, from, to int) {
		n := b.Len()
		b.WriteRune(r)
		for range b.Len() - n {
			t.from, t.to = append(t.from, from), append(t.to, to)
		}
	}
	var it norm.Iter
	it.Init(norm.NFKC, shown)
	for !it.Done() {
		begin := it.Pos()
		part := string(it.Next())
		from, to := at[begin], len(s)
		if it.Pos() < len(shown) {
			to = at[it.Pos()]
		}
		for _, r := range part {
			if unicode.IsSpace(r) {
				space = true
				continue
			}
			r = unicode.ToLower(simplify(r))
			if space && last != 0 && (!unspaced(last) || !unspaced(r)) {
				put(' ', from, from)
			}
			put(r, from, to)
			last, space = r, false
		}
	}
	t.folded = b.String()
	return t
}

func (t *traced) find(l usher.KeywordList) ListHit {
	p := newPhrases(l.Phrases, l.Except)
	h := ListHit{Name: l.Name, Held: p.in(t.folded, nil), Matches: []PhraseHit{}, Masked: []PhraseHit{}}
	masked := p.mask(t.folded)
	for _, e := range l.Except {
		t.each(e, func(at int, hit PhraseHit) { h.Masked = append(h.Masked, hit) })
	}
	for _, w := range l.Phrases {
		t.each(w, func(at int, hit PhraseHit) {
			if !slices.Contains(masked[at:at+len(Fold(w))], true) {
				h.Matches = append(h.Matches, hit)
			}
		})
	}
	for _, hits := range [][]PhraseHit{h.Matches, h.Masked} {
		sort.SliceStable(hits, func(i, j int) bool { return hits[i].From < hits[j].From })
	}
	return h
}

// maxHits bounds how often one phrase is shown.
const maxHits = 100

// each calls found for every place of the phrase.
func (t *traced) each(phrase string, found func(at int, hit PhraseHit)) {
	folded := Fold(phrase)
	if folded == "" {
		return
	}
	for from, n := 0, 0; n < maxHits; n++ {
		at := find(t.folded, folded, from)
		if at < 0 {
			return
		}
		found(at, PhraseHit{Phrase: phrase, From: t.from[at], To: t.to[at+len(folded)-1]})
		from = at + 1
	}
}
