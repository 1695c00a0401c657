package inference

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"

	"usher"
	"usher/models"
)

// hashing is the encoder that needs no model: it compares the character n-grams
// of a text with phrases written for each label. It knows wording, not meaning,
// and everything it says is marked degraded. It is deterministic.
type hashing struct {
	labels  int
	grams   map[uint64]gram
	phrases int       // over all labels
	labelOf []int     // by phrase
	lengths []float64 // by phrase: Euclidean length of its weights
	unknown float64   // rarity of a gram that no phrase has
}

// gram is what the phrases say of one n-gram.
type gram struct {
	rarity float64 // inverse phrase frequency
	in     []posting
}

type posting struct {
	phrase int
	count  float64
}

// Of the 64 numbers of a match vector the last are the centred distribution over
// the labels, so that a Chinese text and an English profile can meet.
const (
	hashingFull      = 384
	hashingWording   = usher.MatchDim - 12 // the other numbers
	hashingSharpness = 10.0                // how fast likeness becomes certainty; crude, by eye
)

// hashingManifest is the rule by which hashing answers.
func hashingManifest() (*models.Manifest, []models.Label) {
	topics := hashingTopics()
	m := &models.Manifest{
		Name: "hashing", Version: "1", Kind: models.KindText, Temperature: 1,
		Thresholds: map[string]float64{}, Margin: 0.15,
		// No Clarify: what counts characters has no ground to question a customer.
		OutOfScope:   models.OutOfScope{Label: "out_of_scope", Limit: 0.5},
		Embedding:    models.Embedding{ID: "hashing-1", Dimension: hashingFull, MatchDimension: usher.MatchDim},
		SkillLink:    models.SkillLink{Threshold: 0.35, Scale: 1},
		ProfileMatch: models.Spread{Mean: 0.15, Scale: 0.25},
	}
	labels := make([]models.Label, len(topics))
	for i, t := range topics {
		labels[i] = t.Label
		m.Thresholds[t.Label.Label] = 0.5
	}
	return m, labels
}

func newHashing() *hashing {
	topics := hashingTopics()
	h := &hashing{labels: len(topics), grams: map[uint64]gram{}}
	var counted []map[uint64]float64
	for i, t := range topics {
		for _, language := range []string{"zh", "en"} {
			for _, phrase := range t.Examples[language] {
				counted = append(counted, count(Clean(phrase)))
				h.labelOf = append(h.labelOf, i)
			}
		}
	}
	h.phrases = len(counted)
	for phrase, counts := range counted {
		for g, n := range counts {
			x := h.grams[g]
			x.in = append(x.in, posting{phrase, n})
			h.grams[g] = x
		}
	}
	h.unknown = math.Log(1 + float64(h.phrases))
	h.lengths = make([]float64, h.phrases)
	for g, x := range h.grams {
		x.rarity = math.Log(1 + float64(h.phrases)/float64(len(x.in)))
		h.grams[g] = x
	}
	// Summed phrase by phrase in the order of the hashes: a map's order must not
	// reach a number.
	for phrase, counts := range counted {
		sum := 0.0
		for _, g := range sorted(counts) {
			w := counts[g] * h.grams[g].rarity
			sum += w * w
		}
		h.lengths[phrase] = math.Sqrt(sum)
	}
	return h
}

// encode returns 12 logits and the vector of a cleaned text.
func (h *hashing) encode(cleaned string) ([]float32, usher.Vector) {
	counts := count(cleaned)
	match, full := make(usher.Vec, usher.MatchDim), make(usher.Vec, hashingFull)
	likeness := make([]float64, h.phrases)
	share := make([]float64, h.labels)
	length, mass := 0.0, 0.0
	for _, g := range sorted(counts) {
		x, ok := h.grams[g]
		rarity := x.rarity
		if !ok {
			rarity = h.unknown
		}
		w := counts[g] * rarity
		length += w * w
		mass += w
		for _, p := range x.in {
			likeness[p.phrase] += w * p.count * rarity
			share[h.labelOf[p.phrase]] += w / float64(len(x.in))
		}
		sign := float32(w)
		if g>>63 == 1 {
			sign = -sign
		}
		match[g%hashingWording] += sign
		full[g%hashingFull] += sign
	}
	length = math.Sqrt(length)
	// A label is as like as its best phrase and, less so, its next two, and as the
	// share of the text that occurs in its phrases rather than in those of others.
	best := make([][3]float64, h.labels)
	for phrase, x := range likeness {
		if x == 0 {
			continue
		}
		// The square root of the text's own length forgives long messages.
		x /= h.lengths[phrase] * math.Sqrt(length*min(length, h.lengths[phrase]*2))
		b := &best[h.labelOf[phrase]]
		if x > b[2] {
			b[2] = x
			slices.SortFunc(b[:], func(a, b float64) int { return cmp.Compare(b, a) })
		}
	}
	logits := make([]float32, h.labels)
	for i, b := range best {
		s := hashingSharpness * (0.7*b[0] + 0.25*b[1] + 0.15*b[2])
		if mass > 0 {
			s += hashingSharpness * 0.8 * share[i] / mass
			s *= mass / (mass + 5) // a few common characters prove little
		}
		logits[i] = float32(s)
	}
	v := usher.Vector{Embedding: "hashing-1", Full: unit(full)}
	wording := unit(match[:hashingWording])
	topic := make(usher.Vec, h.labels)
	if p, ok := softmax(logits, 1); ok {
		for i, x := range p {
			topic[i] = float32(x - 1/float64(h.labels))
		}
	}
	for i, x := range topic {
		match[hashingWording+i] = 1.5 * x // the topic counts more than the wording once it is sure
	}
	if wording == nil && unit(topic) == nil {
		return logits, v
	}
	v.Match = unit(match)
	return logits, v
}

func sorted(counts map[uint64]float64) []uint64 {
	keys := make([]uint64, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// count returns the n-grams of text with their weights: Han characters alone and
// in pairs, Latin words whole and in pieces of three to five letters. Case does
// not count; digits and signs only separate.
func count(text string) map[uint64]float64 {
	counts := map[uint64]float64{}
	var han, word []rune
	flush := func() {
		for i := range han {
			counts[hash(han[i:i+1])] += 0.2
			if i > 0 {
				weight := 1.0
				if commonChinese(string(han[i-1 : i+1])) {
					weight = 0.15
				}
				counts[hash(han[i-1:i+1])] += weight
			}
		}
		if len(word) > 0 {
			weight := 1.0
			if commonEnglish(string(word)) {
				weight = 0.15
			}
			counts[hash(word)] += weight
			edged := append(append([]rune{'^'}, word...), '$')
			for n := 3; n <= 5; n++ {
				for i := 0; i+n <= len(edged) && weight == 1; i++ {
					counts[hash(edged[i:i+n])] += 0.25
				}
			}
		}
		han, word = han[:0], word[:0]
	}
	for _, r := range strings.ToLower(text) {
		switch {
		case unicode.Is(unicode.Han, r):
			if len(word) > 0 {
				flush()
			}
			han = append(han, r)
		case unicode.IsLetter(r):
			if len(han) > 0 {
				flush()
			}
			word = append(word, r)
		default:
			flush()
		}
	}
	flush()
	return counts
}

// commonChinese reports whether a pair of characters occurs in any kind of request.
func commonChinese(pair string) bool {
	switch pair {
	case "问题", "请问", "一下", "怎么", "什么", "可以", "有个", "有问", "我想", "我要", "我有", "我的", "你们", "这个", "那个", "东西", "帮我",
		"一直", "没有", "能不", "不能", "还是", "有没", "是不", "不是", "为什", "么办", "么弄", "想要", "需要", "已经", "昨天", "今天":
		return true
	default:
		return false
	}
}

// hash is FNV-1a over the code points, finished so that high and low bits mix.
func hash(rs []rune) uint64 {
	x := uint64(14695981039346656037)
	for _, r := range rs {
		x = (x ^ uint64(r)) * 1099511628211
	}
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>29
}
