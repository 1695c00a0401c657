package policy

import (
	"slices"
	"strings"

	"usher"
)

// Words is one text in both languages.
type Words struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// Told is one change between two policies in words. Before is nil for what was
// added, After for what was removed; both are the same for what was only moved.
type Told struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"` // added | removed | changed | moved
	Before *Words `json:"before"`
	After  *Words `json:"after"`
}

// DiffWords says what changed from a to b, a row for each sentence that came,
// went, reads otherwise, or stands in another place where order counts.
func DiffWords(a, b usher.Policy) []Told {
	before, after := bilingual(a), bilingual(b)
	out := []Told{}
	at := make(map[string]Words, len(after))
	for _, s := range after {
		at[s.key] = s.words
	}
	was := make(map[string]Words, len(before))
	for _, s := range before {
		was[s.key] = s.words
		if _, ok := at[s.key]; !ok {
			out = append(out, Told{Path: s.path, Kind: "removed", Before: &s.words})
		}
	}
	moved := movedItems(a, b)
	names, newNames := ruleNames(a), ruleNames(b)
	for _, s := range after {
		old, ok := was[s.key]
		switch {
		case !ok:
			out = append(out, Told{Path: s.path, Kind: "added", After: &s.words})
		case old != s.words:
			out = append(out, Told{Path: s.path, Kind: "changed", Before: &old, After: &s.words})
		}
		if name, renamed := names[s.path], newNames[s.path]; ok && name != renamed {
			out = append(out, Told{
				Path: s.path + ".name", Kind: "changed",
				Before: &Words{ZH: "规则名「" + name + "」", EN: "Rule name “" + name + "”"},
				After:  &Words{ZH: "规则名「" + renamed + "」", EN: "Rule name “" + renamed + "”"},
			})
		}
		if ok && slices.Contains(moved, s.path) {
			out = append(out, Told{Path: s.path, Kind: "moved", Before: &old, After: &s.words})
		}
	}
	return out
}

// ruleNames are the names of rules by path.
func ruleNames(p usher.Policy) map[string]string {
	out := make(map[string]string, len(p.Rules))
	for _, r := range WithDefaults(p).Rules {
		out["rules["+r.ID+"]"] = r.Name
	}
	return out
}

// movedItems are the paths of what stands in another order.
func movedItems(a, b usher.Policy) []string {
	var out []string
	for _, d := range Diff(a, b) {
		if d.Kind == "moved" {
			out = append(out, d.Path)
		}
	}
	return out
}

type bothSentence struct {
	path, key string
	words     Words
}

// bilingual pairs the sentences of both languages. Rows of overflow have no name:
// they are known by what they say, the second of two alike by its count.
func bilingual(doc usher.Policy) []bothSentence {
	zh, en := Sentences(doc, "zh"), Sentences(doc, "en")
	out := make([]bothSentence, len(zh))
	seen := make(map[string]int)
	for i := range zh {
		s := bothSentence{path: zh[i].Path, key: zh[i].Path, words: Words{ZH: zh[i].Text, EN: en[i].Text}}
		if j := strings.LastIndex(s.path, "overflow["); j == 0 || j > 0 && strings.HasPrefix(s.path, "queues[") {
			row := s.path[:j] + "overflow\x00" + s.words.EN
			seen[row]++
			s.key = row + strings.Repeat("\x00", seen[row])
		}
		out[i] = s
	}
	return out
}
