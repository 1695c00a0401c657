package inference

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sugarme/tokenizer"
)

// unkPenalty is how much an unknown character costs beyond the least likely piece,
// as in the reference.
const unkPenalty = 10

// metaspace stands for a space in the pieces.
const metaspace = "▁"

// Unigram is a SentencePiece Unigram model with Metaspace pre-tokenisation. It
// gives the ids of the reference implementation, ties included, in time linear in
// the length of the text. It is safe for concurrent use and implements sugarme's
// Model.
//
// Unlike the reference it never reads a special token out of a text: a customer
// who writes "</s>" has written four characters.
type Unigram struct {
	pieces []string
	scores []float64
	ids    map[string]int
	unk    int
	bos    int
	eos    int
	unkAt  float64 // score of one unknown character
	trie   trie
	free   sync.Pool // *lattice
}

var _ tokenizer.Model = (*Unigram)(nil)

// lattice is the working memory of one call.
type lattice struct {
	text []byte // with metaspaces
	best []node // by byte position within the word
	path []int
}

// node is the best way to reach a byte position.
type node struct {
	score float64
	start int // where its last piece starts; -1 = not reached
	id    int
}

// OpenUnigram reads a tokenizer.json. It must be a Unigram model without byte
// fallback and without normalizer (texts come from Clean), Metaspace with a space
// prepended always, and a template that frames one sequence with two specials.
func OpenUnigram(path string) (*Unigram, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // below the configured folder
	if err != nil {
		return nil, fmt.Errorf("open tokenizer: %w", err)
	}
	u, err := newUnigram(raw)
	if err != nil {
		return nil, fmt.Errorf("open tokenizer %s: %w", filepath.Base(path), err)
	}
	return u, nil
}

// errForeign marks a tokenizer.json that is sound but of another kind.
var errForeign = errors.New("not a Unigram tokenizer of the supported shape")

type tokenizerJSON struct {
	AddedTokens []struct {
		ID      int    `json:"id"`
		Content string `json:"content"`
		Special bool   `json:"special"`
	} `json:"added_tokens"`
	Normalizer   json.RawMessage `json:"normalizer"`
	PreTokenizer struct {
		Type        string `json:"type"`
		Replacement string `json:"replacement"`
		Prepend     string `json:"prepend_scheme"`
		Split       *bool  `json:"split"`
	} `json:"pre_tokenizer"`
	PostProcessor struct {
		Type   string `json:"type"`
		Single []struct {
			SpecialToken *struct {
				ID string `json:"id"`
			} `json:"SpecialToken"` //nolint:tagliatelle // the format of others
		} `json:"single"`
	} `json:"post_processor"`
	Model struct {
		Type         string  `json:"type"`
		UnkID        *int    `json:"unk_id"`
		ByteFallback bool    `json:"byte_fallback"`
		Vocab        []piece `json:"vocab"`
	} `json:"model"`
}

// piece is one [text, score] pair.
type piece struct {
	text  string
	score float64
}

func (p *piece) UnmarshalJSON(b []byte) error {
	pair := [2]any{&p.text, &p.score}
	return json.Unmarshal(b, &pair)
}

func newUnigram(raw []byte) (*Unigram, error) {
	var kind struct {
		Model struct {
			Type string `json:"type"`
		} `json:"model"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, fmt.Errorf("read tokenizer: %w", err)
	}
	if kind.Model.Type != "Unigram" {
		return nil, fmt.Errorf("%w: model is %q", errForeign, kind.Model.Type)
	}
	var j tokenizerJSON
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, fmt.Errorf("read tokenizer: %w", err)
	}
	switch pre := j.PreTokenizer; {
	case j.Model.ByteFallback:
		return nil, fmt.Errorf("%w: byte_fallback", errForeign)
	case len(j.Normalizer) > 0 && string(j.Normalizer) != "null":
		return nil, fmt.Errorf("%w: it has a normalizer", errForeign)
	case pre.Type != "Metaspace" || pre.Replacement != metaspace || pre.Prepend != "always" || pre.Split != nil && !*pre.Split:
		return nil, fmt.Errorf("%w: pre_tokenizer %+v", errForeign, pre.Type)
	case len(j.PostProcessor.Single) != 3 || j.PostProcessor.Single[0].SpecialToken == nil || j.PostProcessor.Single[2].SpecialToken == nil:
		return nil, fmt.Errorf("%w: post_processor does not frame one sequence", errForeign)
	}
	n := len(j.Model.Vocab)
	if j.Model.UnkID == nil || *j.Model.UnkID < 0 || *j.Model.UnkID >= n {
		return nil, errors.New("read tokenizer: unk_id is not in the vocabulary")
	}
	u := &Unigram{
		pieces: make([]string, n), scores: make([]float64, n), ids: make(map[string]int, n), unk: *j.Model.UnkID,
	}
	least := math.Inf(1)
	for id, p := range j.Model.Vocab {
		if math.IsNaN(p.score) || math.IsInf(p.score, 0) {
			return nil, fmt.Errorf("read tokenizer: score of piece %d is no number", id)
		}
		u.pieces[id], u.scores[id], u.ids[p.text] = p.text, p.score, id
		least = min(least, p.score)
	}
	u.unkAt = least - unkPenalty
	special := map[string]bool{}
	for _, a := range j.AddedTokens {
		if !a.Special || a.ID < 0 || a.ID >= n || u.pieces[a.ID] != a.Content {
			return nil, fmt.Errorf("%w: added token %d is not a special of the vocabulary", errForeign, a.ID)
		}
		special[a.Content] = true
	}
	var ok1, ok2 bool
	u.bos, ok1 = u.ids[j.PostProcessor.Single[0].SpecialToken.ID]
	u.eos, ok2 = u.ids[j.PostProcessor.Single[2].SpecialToken.ID]
	if !ok1 || !ok2 {
		return nil, errors.New("read tokenizer: the frame's specials are not in the vocabulary")
	}
	u.trie = newTrie(u.ids, special)
	u.free.New = func() any { return new(lattice) }
	return u, nil
}

// Encode appends to dst the ids of a cleaned text in its frame of two specials, at
// most limit in all, and reports whether some had to go. A limit below 2 counts as 2.
func (u *Unigram) Encode(dst []int64, text string, limit int) (ids []int64, truncated bool) {
	l := u.free.Get().(*lattice)
	defer u.free.Put(l)
	end := len(dst) + max(limit, 2) - 1 // the last place is for eos
	dst = append(dst, int64(u.bos))
	l.text = appendMetaspaced(l.text[:0], text)
	for rest := l.text; len(rest) > 0; {
		word := rest
		if n := indexMetaspace(rest[1:]); n >= 0 {
			word = rest[:n+1]
		}
		rest = rest[len(word):]
		u.segment(l, word)
		for _, at := range slices.Backward(l.path) {
			if len(dst) == end {
				return append(dst, int64(u.eos)), true
			}
			dst = append(dst, int64(l.best[at].id))
		}
	}
	return append(dst, int64(u.eos)), false
}

// appendMetaspaced replaces spaces and makes sure that a metaspace comes first.
func appendMetaspaced(b []byte, text string) []byte {
	if !strings.HasPrefix(text, metaspace) && !strings.HasPrefix(text, " ") {
		b = append(b, metaspace...)
	}
	for {
		i := strings.IndexByte(text, ' ')
		if i < 0 {
			return append(b, text...)
		}
		b = append(append(b, text[:i]...), metaspace...)
		text = text[i+1:]
	}
}

// indexMetaspace is bytes.Index for the one needle, by its bytes E2 96 81.
func indexMetaspace(b []byte) int {
	for i := 0; i+2 < len(b); i++ {
		if b[i] == 0xe2 && b[i+1] == 0x96 && b[i+2] == 0x81 {
			return i
		}
	}
	return -1
}

// segment leaves in l.path the ends of the pieces of word's best segmentation, from
// the last to the first, unknown ones next to each other fused.
func (u *Unigram) segment(l *lattice, word []byte) {
	if cap(l.best) < len(word)+1 {
		l.best = make([]node, len(word)+1, 2*len(word)+1)
	}
	best := l.best[:len(word)+1]
	for i := range best {
		best[i] = node{start: -1}
	}
	best[0].start = 0
	for at := 0; at < len(word); {
		// Cleaned text is valid UTF-8; for a wrong byte the width is 1.
		_, width := utf8.DecodeRune(word[at:])
		till := best[at].score
		single := false
		state := 0
		for end := at; end < len(word); {
			state = u.trie.step(state, word[end])
			if state < 0 {
				break
			}
			end++
			id := u.trie.nodes[state].id
			if id < 0 {
				continue
			}
			score := u.scores[id] + till
			if n := &best[end]; n.start < 0 || score > n.score {
				*n = node{score, at, id}
			}
			single = single || end-at == width
		}
		if !single {
			score := u.unkAt + till
			if n := &best[at+width]; n.start < 0 || score > n.score {
				*n = node{score, at, u.unk}
			}
		}
		at += width
	}
	l.best = best
	l.path = l.path[:0]
	fused := false
	for end := len(word); end > 0; end = best[end].start {
		unknown := best[end].id == u.unk
		if unknown && fused {
			continue
		}
		fused = unknown
		l.path = append(l.path, end)
	}
}

// Tokenize implements sugarme's Model: sequence is one pre-token, offsets are bytes.
func (u *Unigram) Tokenize(sequence string) ([]tokenizer.Token, error) {
	if !utf8.ValidString(sequence) {
		return nil, errors.New("tokenize: text is not UTF-8")
	}
	l := u.free.Get().(*lattice)
	defer u.free.Put(l)
	l.text = append(l.text[:0], sequence...)
	u.segment(l, l.text)
	tokens := make([]tokenizer.Token, len(l.path))
	start := 0
	for k := range tokens {
		i := len(l.path) - 1 - k
		end := l.path[i]
		tokens[k] = tokenizer.Token{Id: l.best[end].id, Value: sequence[start:end], Offsets: []int{start, end}}
		start = end
	}
	return tokens, nil
}

// TokenToId implements sugarme's Model.
//
//nolint:staticcheck // the name is sugarme's
func (u *Unigram) TokenToId(token string) (id int, ok bool) {
	id, ok = u.ids[token]
	return id, ok
}

// IdToToken implements sugarme's Model.
//
//nolint:staticcheck // the name is sugarme's
func (u *Unigram) IdToToken(id int) (token string, ok bool) {
	if id < 0 || id >= len(u.pieces) {
		return "", false
	}
	return u.pieces[id], true
}

// GetVocab implements sugarme's Model. The map must not be changed.
func (u *Unigram) GetVocab() map[string]int { return u.ids }

// GetVocabSize implements sugarme's Model.
func (u *Unigram) GetVocabSize() int { return len(u.pieces) }

// Save implements sugarme's Model: a bundle is never written from here.
func (u *Unigram) Save(string, ...string) error {
	return errors.New("save tokenizer: bundles are immutable")
}

// trie holds the pieces byte by byte. The children of a node are neighbours, so
// that one search over labels finds the right one.
type trie struct {
	nodes  []trieNode
	labels []byte // by node: the byte that leads to it
}

type trieNode struct {
	first int // of its children
	count int
	id    int // of the piece that ends here, or -1
}

func newTrie(ids map[string]int, without map[string]bool) trie {
	keys := make([]string, 0, len(ids))
	for k := range ids {
		if k != "" && !without[k] {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	t := trie{nodes: make([]trieNode, 1, 3*len(keys)+1), labels: make([]byte, 1, 3*len(keys)+1)}
	t.nodes[0].id = -1
	type span struct{ lo, hi, depth int } // keys[lo:hi] share their first depth bytes
	spans := make([]span, 1, 3*len(keys)+1)
	spans[0] = span{0, len(keys), 0}
	for i := 0; i < len(spans); i++ {
		s := spans[i]
		if s.lo < s.hi && len(keys[s.lo]) == s.depth {
			t.nodes[i].id = ids[keys[s.lo]]
			s.lo++
		}
		t.nodes[i].first = len(t.nodes)
		for lo := s.lo; lo < s.hi; {
			label := keys[lo][s.depth]
			hi := lo + 1
			for hi < s.hi && keys[hi][s.depth] == label {
				hi++
			}
			t.nodes = append(t.nodes, trieNode{id: -1})
			t.labels = append(t.labels, label)
			spans = append(spans, span{lo, hi, s.depth + 1})
			t.nodes[i].count++
			lo = hi
		}
	}
	return t
}

// step returns the node that b leads to, or -1.
func (t *trie) step(from int, b byte) int {
	n := &t.nodes[from]
	lo, hi := n.first, n.first+n.count
	if n.count > 8 {
		for lo < hi {
			mid := (lo + hi) / 2
			if t.labels[mid] < b {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		if lo < n.first+n.count && t.labels[lo] == b {
			return lo
		}
		return -1
	}
	for ; lo < hi; lo++ {
		if t.labels[lo] == b {
			return lo
		}
	}
	return -1
}
