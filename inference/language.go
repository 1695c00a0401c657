package inference

import (
	"math"
	"strings"
	"unicode"

	"usher"
)

// language tells Chinese from English by counting scripts: Han characters
// against words of Latin letters. Little text gives little certainty, text
// without letters, and text in another script, "und" with probability 0. Latin
// text without one common English word stays below the certainty that the hard
// filter asks for, since it may be pinyin, Spanish or a list of names.
func language(text string) usher.LanguageP {
	han, words, other, english, accents := 0, 0, 0, 0, 0
	start := -1 // of the present Latin word
	end := func(i int) {
		if start >= 0 {
			words++
			if commonEnglish(text[start:i]) {
				english++
			}
			start = -1
		}
	}
	for i, r := range text {
		switch {
		case r < 0x80 && (r|0x20) >= 'a' && (r|0x20) <= 'z', r == '\'' && start >= 0:
			if start < 0 {
				start = i
			}
			continue
		case r < 0x80:
		case unicode.Is(unicode.Latin, r):
			accents++
			if start < 0 {
				start = i
			}
			continue
		case unicode.Is(unicode.Han, r):
			han++
		case unicode.IsLetter(r):
			other++
		}
		end(i)
	}
	end(len(text))
	if other > han+words || han+words == 0 {
		return usher.LanguageP{Tag: "und"}
	}
	// Chinese sentences hold Latin names more often than English ones hold Han,
	// so a word weighs less than a character.
	x := float64(han) / (float64(han) + 0.4*float64(words))
	tag, share := "zh", x
	if x < 0.5 {
		tag, share = "en", 1-x
	}
	certainty := 1 - math.Exp(-0.7*float64(han+words))
	p := 0.5 + (share-0.5)*certainty
	if tag == "en" && (accents > 0 || words >= 4) && english == 0 {
		p = min(p, 0.7)
	}
	if other > 0 {
		p = min(p, 0.7)
	}
	return usher.LanguageP{Tag: tag, Probability: math.Round(p*1e4) / 1e4}
}

// commonEnglish reports whether word is among the words that hardly any English
// sentence does without.
func commonEnglish(word string) bool {
	if len(word) > 7 {
		return false
	}
	switch strings.ToLower(word) {
	case "a", "about", "after", "all", "am", "an", "and", "any", "are", "at", "be", "been", "but", "by", "can", "can't",
		"could", "did", "do", "does", "don't", "every", "for", "from", "get", "got", "had", "has", "have", "hello", "help",
		"hi", "how", "i", "i'd", "i'm", "i've", "if", "in", "is", "isn't", "it", "it's", "its", "just", "like", "me",
		"my", "need", "no", "not", "now", "of", "on", "one", "or", "order", "our", "out", "please", "so", "still",
		"thanks", "that", "the", "there", "they", "this", "to", "up", "was", "we", "were", "what", "when", "where",
		"which", "who", "why", "will", "with", "won't", "would", "you", "your":
		return true
	default:
		return false
	}
}
