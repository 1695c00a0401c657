package inference

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxCleanBytes is how much of a text the models may look at, in UTF-8 bytes.
const MaxCleanBytes = 8192

// Clean prepares text for a model exactly as training does (golden-tested in
// both): invalid UTF-8 becomes U+FFFD, then NFKC, then every Unicode white space
// becomes a space, then control and format characters, U+FFFD and U+034F go, runs
// of spaces become one, both ends are trimmed, and the text is cut to
// MaxCleanBytes between characters. The result may be empty.
func Clean(s string) string {
	out, _ := clean(s, MaxCleanBytes)
	return out
}

// clean reports also whether the text had to be cut.
func clean(s string, limit int) (string, bool) {
	if len(s) <= limit && isClean(s) {
		return s, false
	}
	s = norm.NFKC.String(strings.ToValidUTF8(s, "\uFFFD"))
	var b strings.Builder
	b.Grow(min(len(s), limit+utf8.UTFMax))
	space := false // a space is owed before the next kept character
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case dropped(r):
			continue
		}
		if space {
			if b.Len()+1+utf8.RuneLen(r) > limit {
				return b.String(), true
			}
			b.WriteByte(' ')
			space = false
		} else if b.Len()+utf8.RuneLen(r) > limit {
			return b.String(), true
		}
		b.WriteRune(r)
	}
	return b.String(), false
}

// dropped reports whether r carries no text: control and format characters, the
// replacement character, and the grapheme joiner, which stream-safe normalisers
// insert after thirty combining marks.
func dropped(r rune) bool {
	if r < 0x80 {
		return r < 0x20 || r == 0x7f
	}
	return r == utf8.RuneError || r == 0x034f || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r)
}

// isClean reports whether s can be used as it is, without allocating.
func isClean(s string) bool {
	space := true // no space at the beginning
	for _, r := range s {
		if r == ' ' {
			if space {
				return false
			}
			space = true
			continue
		}
		space = false
		if r < 0x80 {
			if dropped(r) {
				return false
			}
			continue
		}
		if r == utf8.RuneError || unicode.IsSpace(r) || dropped(r) {
			return false
		}
	}
	return (!space || s == "") && norm.NFKC.QuickSpanString(s) == len(s)
}
