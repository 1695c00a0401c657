package policy

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold returns s in the form in which keyword phrases are compared: compatibility
// forms and full width made plain (NFKC), lower case, simplified characters,
// nothing invisible, runs of space made one, and no space between two characters
// of a script that is written without spaces.
func Fold(s string) string {
	s = norm.NFKC.String(visible(s))
	var b strings.Builder
	b.Grow(len(s))
	var last rune
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) {
			space = true
			continue
		}
		r = unicode.ToLower(simplify(r))
		if space && last != 0 && (!unspaced(last) || !unspaced(r)) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		last, space = r, false
	}
	return b.String()
}

// plain returns s as regular expressions see it: NFKC without invisible
// characters. Case and variants are left to the author of the expression.
func plain(s string) string { return norm.NFKC.String(visible(s)) }

// visible drops format characters (zero width and the like), joiners, variation
// selectors and control characters that are no space. It comes before NFKC, since
// an invisible character may keep a letter from its accent.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= ' ' && r < 0x7F, r >= 0x4E00 && r <= 0x9FFF: // most text, and always visible
			return r
		case r == utf8.RuneError, r == '\u034F', r >= '\uFE00' && r <= '\uFE0F', unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsControl(r) && !unicode.IsSpace(r):
			return -1
		default:
			return r
		}
	}, s)
}

// simplify returns the simplified form of a traditional character, else r.
func simplify(r rune) rune {
	const width = 3 // of each of the two characters of a pair
	if r < 0x3400 || r > 0x9FFF {
		return r
	}
	low, high := 0, len(simplified)/(2*width)
	for low < high {
		mid := int(uint(low+high) >> 1)
		at := mid * 2 * width
		k, _ := utf8.DecodeRuneInString(simplified[at : at+width])
		switch {
		case k == r:
			s, _ := utf8.DecodeRuneInString(simplified[at+width : at+2*width])
			return s
		case k < r:
			low = mid + 1
		default:
			high = mid
		}
	}
	return r
}

// unspaced reports whether r belongs to a script whose words are not set apart by
// spaces, or, as in Korean, carry their endings with them.
func unspaced(r rune) bool {
	if r < 0x0E00 {
		return false
	}
	return r >= 0x4E00 && r <= 0x9FFF || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// inWord reports whether r continues a word that spaces set apart.
func inWord(r rune) bool {
	return (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) || r == '_') && !unspaced(r)
}

// phrases are keyword phrases and what masks them, all folded.
type phrases struct {
	want   []string
	grams  []grams // of want
	except []string
}

// newPhrases folds its arguments; phrases that fold to nothing are left out.
func newPhrases(want, except []string) phrases {
	p := phrases{want: foldAll(want), except: foldAll(except)}
	p.index()
	return p
}

// index prepares want for a quick look at a text's pairs.
func (p *phrases) index() {
	p.grams = make([]grams, len(p.want))
	for i, w := range p.want {
		p.grams[i] = gramsOf(w)
	}
}

func foldAll(in []string) []string {
	out := make([]string, 0, len(in))
	for _, s := range in {
		if f := Fold(s); f != "" {
			out = append(out, f)
		}
	}
	return out
}

// pairs is the set of pairs of neighbouring characters in a text, and of single
// ones, by hash. A phrase one of whose pairs is missing cannot be in the text:
// with thousands of phrases hardly one has to be searched for.
type pairs [1 << 10]uint64

func pair(a, b rune) uint16 {
	return uint16((uint64(a)*0x9E3779B97F4A7C15 + uint64(b)*0xC2B2AE3D27D4EB4F) >> 48)
}

// fill makes p the pairs of a folded text.
func (p *pairs) fill(folded string) {
	clear(p[:])
	last := rune(0)
	for _, r := range folded {
		for _, h := range [2]uint16{pair(0, r), pair(last, r)} {
			p[h>>6] |= 1 << (h & 63)
		}
		last = r
	}
}

// grams are the first pairs of a phrase, or its one character.
type grams struct {
	n    int
	hash [4]uint16
}

func gramsOf(phrase string) grams {
	var g grams
	last := rune(0)
	for _, r := range phrase {
		if last != 0 && g.n < len(g.hash) {
			g.hash[g.n] = pair(last, r)
			g.n++
		}
		last = r
	}
	if g.n == 0 {
		g.hash[0], g.n = pair(0, last), 1
	}
	return g
}

// has reports whether all of g may be in the text.
func (p *pairs) has(g *grams) bool {
	for _, h := range g.hash[:g.n] {
		if p[h>>6]&(1<<(h&63)) == 0 {
			return false
		}
	}
	return true
}

// in reports whether a phrase stands in the folded text where no exception
// overlaps it. near has the text's pairs; nil = not known.
func (p *phrases) in(folded string, near *pairs) bool {
	var masked []bool
	for i, w := range p.want {
		if near != nil && !near.has(&p.grams[i]) {
			continue
		}
		for from := 0; ; {
			at := find(folded, w, from)
			if at < 0 {
				break
			}
			if len(p.except) == 0 {
				return true
			}
			if masked == nil {
				masked = p.mask(folded)
			}
			if !slices.Contains(masked[at:at+len(w)], true) {
				return true
			}
			from = at + 1
		}
	}
	return false
}

// mask marks the bytes of folded that an exception covers.
func (p *phrases) mask(folded string) []bool {
	masked := make([]bool, len(folded))
	for _, e := range p.except {
		done := 0 // bytes before it are marked for this exception
		for from := 0; ; {
			at := find(folded, e, from)
			if at < 0 {
				break
			}
			for i := max(at, done); i < at+len(e); i++ {
				masked[i] = true
			}
			done = at + len(e)
			from = at + 1
		}
	}
	return masked
}

// find returns where phrase first stands in text from byte from on, or -1. Where
// the phrase begins or ends inside a spaced script it must do so at a word's edge.
func find(text, phrase string, from int) int {
	first, _ := utf8.DecodeRuneInString(phrase)
	last, _ := utf8.DecodeLastRuneInString(phrase)
	for from <= len(text)-len(phrase) {
		i := strings.Index(text[from:], phrase)
		if i < 0 {
			return -1
		}
		at := from + i
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(phrase):])
		begins := at == 0 || !inWord(first) || !inWord(before)
		ends := at+len(phrase) == len(text) || !inWord(last) || !inWord(after)
		if begins && ends {
			return at
		}
		from = at + 1
	}
	return -1
}
