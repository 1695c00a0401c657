package faq

import (
	"math"
	"slices"
	"strings"
	"unicode"
)

// wordsRead bounds how much of a text is looked at.
const wordsRead = 2000

// words returns the distinct terms of a text, sorted: stems of Latin words that
// say something, characters of Chinese ones and pairs of them.
func words(text string) []string {
	text = strings.ToLower(strings.ReplaceAll(text, "’", "'"))
	var out []string
	var latin []rune
	last := rune(0) // the Chinese character just before
	flush := func() {
		if w := stem(string(latin)); w != "" {
			out = append(out, w)
		}
		latin = latin[:0]
	}
	n := 0
	for _, r := range text {
		if n++; n > wordsRead {
			break
		}
		switch {
		case unicode.Is(unicode.Han, r):
			flush()
			out = append(out, string(r))
			if last != 0 {
				out = append(out, string([]rune{last, r}))
			}
			last = r
			continue
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.Is(unicode.Mn, r):
			latin = append(latin, r)
		case r == '\'': // "don't" is one word
		default:
			flush()
		}
		last = 0
	}
	flush()
	slices.Sort(out)
	return slices.Compact(out)
}

// stem takes a word's ending away, and words that say nothing altogether.
func stem(w string) string {
	switch w {
	case "a", "an", "the", "is", "are", "be", "do", "does", "did", "can", "could", "will", "would", "i", "me", "my", "mine", "you", "your",
		"we", "our", "it", "its", "this", "that", "to", "of", "in", "on", "at", "for", "with", "and", "or", "if", "how", "what", "when",
		"where", "which", "who", "why", "not", "no", "from", "by", "has", "have", "had", "was", "there":
		return ""
	}
	for _, ending := range []string{"ing", "ies", "ed", "es", "s", "e"} {
		if s, ok := strings.CutSuffix(w, ending); ok && len(s) >= 3 {
			w = s
			break
		}
	}
	if n := len(w); n > 3 && w[n-1] == w[n-2] {
		w = w[:n-1] // shipp, cancell
	}
	return w
}

// weight is how much a term says by its form: a lone Chinese character is seldom a word.
func weight(w string) float64 {
	if r := []rune(w); len(r) == 1 && unicode.Is(unicode.Han, r[0]) {
		return 0.4
	}
	return 1
}

// rarity is how much a term says that stands in `in` of `of` entries.
func rarity(w string, in, of int) float64 {
	return weight(w) * math.Log(1+float64(of)/(float64(in)+0.5))
}
