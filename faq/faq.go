// Package faq is the book of answers that the bot gives: its entries and their
// import, and the search for those that answer a message, each with a calibrated
// probability. Without a trained model, or with one that it was not calibrated
// for, it suggests and never answers.
package faq

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"usher"
)

// Entry is one answer of the book.
type Entry = usher.FAQEntry

// Bounds of a book.
const (
	MaxEntries   = 5000
	MaxTitle     = 300  // characters of a title or another wording
	MaxAnswer    = 4000 // characters
	MaxQuestions = 50   // other wordings of an entry
	MaxTags      = 20
	MaxLanguages = 20
)

// Check reports every fault of an entry at once: an InvalidArgument whose details
// have paths such as "answers.zh".
func Check(e Entry) error {
	var f faults
	if !goodID(e.ID) {
		f.add("id", "malformed", "an id is 1 to 64 letters, digits, '-', '_' or '.'")
	}
	if len(e.Titles) == 0 {
		f.add("titles", "required", "an entry needs a title in at least one language")
	}
	if len(e.Titles) > MaxLanguages {
		f.add("titles", "too_many", "at most "+strconv.Itoa(MaxLanguages)+" languages")
	}
	for _, l := range slices.Sorted(maps.Keys(e.Titles)) {
		if !goodLanguage(l) {
			f.add("titles."+l, "malformed", "a language is the first part of a BCP-47 tag, such as zh or en")
		}
		checkText(&f, "titles."+l, e.Titles[l], MaxTitle)
		if _, ok := e.Answers[l]; !ok {
			f.add("answers."+l, "required", "the title has this language, the answer must have it too")
		}
	}
	for _, l := range slices.Sorted(maps.Keys(e.Answers)) {
		checkText(&f, "answers."+l, e.Answers[l], MaxAnswer)
		if _, ok := e.Titles[l]; !ok {
			f.add("titles."+l, "required", "the answer has this language, the title must have it too")
		}
	}
	if len(e.Questions) > MaxQuestions {
		f.add("questions", "too_many", "at most "+strconv.Itoa(MaxQuestions)+" other wordings")
	}
	for i, q := range e.Questions[:min(len(e.Questions), MaxQuestions)] {
		checkText(&f, fmt.Sprintf("questions[%d]", i), q, MaxTitle)
	}
	if len(e.Tags) > MaxTags {
		f.add("tags", "too_many", "at most "+strconv.Itoa(MaxTags)+" tags")
	}
	for i, t := range e.Tags[:min(len(e.Tags), MaxTags)] {
		checkText(&f, fmt.Sprintf("tags[%d]", i), t, 64)
	}
	return f.err()
}

func checkText(f *faults, path, s string, most int) {
	switch n := utf8.RuneCountInString(s); {
	case strings.TrimSpace(s) == "":
		f.add(path, "required", path+" is empty")
	case !utf8.ValidString(s):
		f.add(path, "malformed", path+" is not UTF-8")
	case n > most:
		f.add(path, "too_long", fmt.Sprintf("%s has %d characters, %d are allowed", path, n, most))
	}
}

func goodID(id string) bool {
	return len(id) >= 1 && len(id) <= 64 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}

func goodLanguage(l string) bool {
	return len(l) >= 2 && len(l) <= 8 && strings.Trim(l, "abcdefghijklmnopqrstuvwxyz") == ""
}

// faults collects everything wrong with a row.
type faults []usher.Detail

func (f *faults) add(path, code, message string) {
	*f = append(*f, usher.Detail{Path: path, Code: code, Message: message})
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	e := usher.Errorf(usher.InvalidArgument, "%s", f[0].Message).At(f[0].Path)
	if len(f) > 1 {
		e = usher.Errorf(usher.InvalidArgument, "%d faults, the first: %s", len(f), f[0].Message).At(f[0].Path)
	}
	e.Details = f
	return e
}

// Text is one text by which an entry is found.
type Text struct {
	ID     string // "<entry>#<n>"
	Text   string
	Answer bool // it is an answer, not a wording of the question
}

// Texts are the texts of an entry: titles by language, other wordings, answers by language.
func Texts(e Entry) []Text {
	var out []Text
	add := func(s string, answer bool) {
		out = append(out, Text{ID: e.ID + "#" + strconv.Itoa(len(out)), Text: s, Answer: answer})
	}
	for _, l := range slices.Sorted(maps.Keys(e.Titles)) {
		add(e.Titles[l], false)
	}
	for _, q := range e.Questions {
		add(q, false)
	}
	for _, l := range slices.Sorted(maps.Keys(e.Answers)) {
		add(e.Answers[l], true)
	}
	return out
}

// Collection names the index collection of the book under an embedding.
func Collection(embedding string) string { return "faq:" + embedding }

// in returns what a map of texts has in a language; failing that in English, in
// Chinese, or in the first language there is.
func in(texts map[string]string, language string) string {
	for _, l := range []string{usher.Language(language), "en", "zh"} {
		if s, ok := texts[l]; ok {
			return s
		}
	}
	for _, l := range slices.Sorted(maps.Keys(texts)) {
		return texts[l]
	}
	return ""
}
