package faq_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/faq"
	"usher/internal/memindex"
)

const trained = "intent-1.1.0" // an embedding that is calibrated

func entry(id, zh, en string, questions ...string) usher.FAQEntry {
	return usher.FAQEntry{
		ID: id, Titles: map[string]string{"zh": zh, "en": en}, Answers: map[string]string{"zh": "答 " + id, "en": "answer " + id},
		Questions: questions, Enabled: true,
	}
}

func TestCheckReportsEverything(t *testing.T) {
	t.Parallel()
	e := usher.FAQEntry{
		ID: "a b", Titles: map[string]string{"zh": " ", "EN": "x"}, Answers: map[string]string{"fr": strings.Repeat("y", faq.MaxAnswer+1)},
		Questions: make([]string, faq.MaxQuestions+1), Tags: []string{""},
	}
	fault, ok := errors.AsType[*usher.Error](faq.Check(e))
	if !ok || fault.Code != usher.InvalidArgument {
		t.Fatalf("got %v", fault)
	}
	paths := map[string]bool{}
	for _, d := range fault.Details {
		paths[d.Path] = true
	}
	for _, want := range []string{"id", "titles.zh", "titles.EN", "answers.zh", "answers.EN", "answers.fr", "titles.fr", "questions", "questions[0]", "tags[0]"} {
		if !paths[want] {
			t.Errorf("no fault at %s: %v", want, fault.Details)
		}
	}
	if err := faq.Check(entry("a.b-c_1", "问", "Q")); err != nil {
		t.Errorf("a good entry: %v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	want := usher.FAQEntry{
		ID: "return", Titles: map[string]string{"zh": "怎么退货？", "en": "How do I return it?"}, Questions: []string{"退掉", "send back"},
		Answers: map[string]string{"zh": "点“退货”。\n\n**七天内**", "en": "Tap Return."}, Tags: []string{"after"}, Enabled: true,
	}
	for name, c := range map[string]struct {
		format faq.Format
		file   string
	}{
		"csv": {faq.CSV, "\xef\xbb\xbfid,language,question,alternatives,answer,tags\r\n" +
			"return,zh,怎么退货？,退掉|,\"点“退货”。\n\n**七天内**\",after\r\nreturn,en-GB,How do I return it?,send back,Tap Return.,after\r\n"},
		"json lines": {faq.JSON, `{"id":"return","titles":{"zh":"怎么退货？","en":"How do I return it?"},"questions":["退掉","send back"],` +
			`"answers":{"zh":"点“退货”。\n\n**七天内**","en":"Tap Return."},"tags":["after"],"version":3}` + "\n\n"},
	} {
		rows, err := faq.Parse(c.format, []byte(c.file), "")
		if err != nil || len(rows) != 1 || rows[0].Err != nil {
			t.Errorf("%s: %+v, %v", name, rows, err)
			continue
		}
		if diff := cmp.Diff(want, rows[0].Entry); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	rows, err := faq.Parse(faq.Markdown, []byte("# Title\nintro\n\n## 怎么退货？ {#return}\nAlso: 退掉\n\n点“退货”。\n\n**七天内**\n\n## How do I return it? {#return}\nAlso: send back\nTap Return.\n\n"+
		"## Empty one\n\n## Code\n```\n## no heading\n```\n"), "")
	if err != nil || len(rows) != 3 {
		t.Fatalf("markdown: %+v, %v", rows, err)
	}
	want.Tags = nil
	if diff := cmp.Diff(want, rows[0].Entry); diff != "" {
		t.Errorf("markdown (-want +got):\n%s", diff)
	}
	if rows[1].Err == nil || rows[1].Line != 15 {
		t.Errorf("an entry without an answer: %+v", rows[1])
	}
	if !strings.HasPrefix(rows[2].Entry.ID, "faq-") || !strings.Contains(rows[2].Entry.Answers["en"], "## no heading") {
		t.Errorf("a heading in code: %+v", rows[2])
	}
}

func TestParseBadRowsFailAlone(t *testing.T) {
	t.Parallel()
	rows, err := faq.Parse(faq.CSV, []byte("question,answer,id,enabled\nq,a,one,no\n,,two,\nq,a,three,maybe\nq\nq2,a2,one,\n"), "fr")
	if err != nil {
		t.Fatal(err)
	}
	var bad []int
	for _, r := range rows {
		if r.Err != nil {
			bad = append(bad, r.Row)
		}
	}
	if diff := cmp.Diff([]int{2, 3, 4, 5}, bad); diff != "" {
		t.Errorf("rows that fail (-want +got):\n%s", diff)
	}
	if rows[0].Entry.Enabled || rows[0].Entry.Titles["fr"] != "q" {
		t.Errorf("first row %+v", rows[0].Entry)
	}
	for _, file := range []string{"", "question,color\n", "answer\nx\n", "question,question,answer\n"} {
		if _, err := faq.Parse(faq.CSV, []byte(file), ""); usher.CodeOf(err) != usher.InvalidArgument {
			t.Errorf("%q: %v", file, err)
		}
	}
	rows, err = faq.Parse(faq.JSON, []byte(`[{"id":"a","titles":{"en":"q"},"answers":{"en":"a"}},{"id":"a","titles":{"zh":"q"},"answers":{"zh":"a"}},{"nonsense":1}]`), "")
	if err != nil || rows[0].Err != nil || rows[1].Err == nil || rows[2].Err == nil {
		t.Errorf("JSON: %+v, %v", rows, err)
	}
}

// row is a vector along an axis of three.
func row(id string, x ...float32) usher.VectorRow {
	return usher.VectorRow{Kind: "faq", ID: id, Vector: usher.Vector{Embedding: trained, Full: x}}
}

func book(t *testing.T, embedding string, index faq.Index, rows ...usher.VectorRow) *faq.Book {
	t.Helper()
	b, err := faq.NewBook(index)
	if err != nil {
		t.Fatal(err)
	}
	off := entry("off", "发票怎么开", "invoice invoice")
	off.Enabled = false
	b.Set(embedding, []usher.FAQEntry{
		entry("refund", "退款多久到账？", "How long does a refund take?"), entry("invoice", "怎么开发票？", "How do I get an invoice?"),
		entry("hours", "客服几点上班？", "What are your hours?"), off,
	}, rows)
	return b
}

func TestFindByMeaning(t *testing.T) {
	t.Parallel()
	index := memindex.New()
	rows := []usher.VectorRow{row("refund#0", 1, 0, 0), row("invoice#0", 0, 1, 0), row("hours#0", 0, 0, 1), row("off#0", 1, 0, 0)}
	if err := index.Upsert(t.Context(), faq.Collection(trained), rows); err != nil {
		t.Fatal(err)
	}
	b := book(t, trained, index, rows...)
	near := &usher.Vector{Embedding: trained, Full: usher.Vec{1, 0.05, 0}}
	for name, broken := range map[string]bool{"index": false, "without the index": true} {
		if broken {
			b = book(t, trained, failing{}, rows...)
		}
		found, err := b.Find(t.Context(), "钱还没到", near, "zh-CN")
		if err != nil || len(found.Answers) == 0 || found.Answers[0].ID != "refund" || found.Answers[0].Text != "答 refund" || !(found.AnswerAt > 0) {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
		sum := 0.0
		for i, a := range found.Answers {
			if sum += a.Probability; a.ID == "off" || i > 0 && a.Probability > found.Answers[i-1].Probability {
				t.Errorf("%s: %+v", name, found.Answers)
			}
		}
		if sum > 1 {
			t.Errorf("%s: probabilities sum to %v", name, sum)
		}
	}
	if found, err := b.Find(t.Context(), "x", near, "ja"); err != nil || found.Answers[0].Text != "answer refund" {
		t.Errorf("another language gets English: %+v, %v", found, err)
	}
}

type failing struct{}

func (failing) Search(context.Context, string, usher.Vec, int) ([]usher.Hit, error) {
	return nil, errors.New("the index is away")
}

// Without a model, or with one that the book was not calibrated for, it suggests
// by wording and is never sure.
func TestOnlySuggests(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]*faq.Book{"no model": book(t, "", memindex.New()), "unknown model": book(t, "other-1", memindex.New())} {
		found, err := b.Find(t.Context(), "请问怎么开发票", &usher.Vector{Embedding: "other-1", Full: usher.Vec{1, 0, 0}}, "zh")
		if err != nil || found.AnswerAt != 0 || len(found.Answers) == 0 || found.Answers[0].ID != "invoice" || found.Answers[0].Probability < found.SuggestAt {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
		if b.Answers() {
			t.Errorf("%s: it answers", name)
		}
	}
}

func TestEntryChosen(t *testing.T) {
	t.Parallel()
	b := book(t, "", memindex.New())
	found, ok := b.Entry("invoice", "en")
	if !ok || found.Answers[0].Probability != 1 || found.Answers[0].Text != "answer invoice" || !(found.AnswerAt > 0 && found.AnswerAt <= 1) {
		t.Errorf("%+v, %v", found, ok)
	}
	for _, id := range []string{"off", "nothing", ""} {
		if _, ok := b.Entry(id, "en"); ok {
			t.Errorf("%q was found", id)
		}
	}
	empty, err := faq.NewBook(memindex.New())
	if err != nil || !empty.Empty() || b.Empty() {
		t.Errorf("empty: %v", err)
	}
	if found, err := empty.Find(t.Context(), "怎么开发票", nil, "zh"); err != nil || found.Answers == nil || len(found.Answers) != 0 {
		t.Errorf("nothing in an empty book: %+v, %v", found, err)
	}
}
