package storetest

import (
	"context"
	"testing"

	"usher"
)

// FAQStore keeps the FAQ.
type FAQStore interface {
	FAQEntries(ctx context.Context) ([]usher.FAQEntry, error)
	FAQPage(ctx context.Context, p usher.Page) ([]usher.FAQEntry, string, error)
	FAQEntry(ctx context.Context, id string) (usher.FAQEntry, error)
	PutFAQ(ctx context.Context, entries ...usher.FAQEntry) error
	DeleteFAQ(ctx context.Context, id string, version int) error
}

// RunFAQ holds a store of the FAQ to its contract. open returns an empty one.
func RunFAQ(t *testing.T, open func(t *testing.T) FAQStore) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, FAQStore){
		"keeps entries by id":                faqKeeps,
		"refuses another version":            faqStale,
		"writes all or none":                 faqAtomic,
		"lists in pages, and refuses a lie":  faqPages,
		"what is not there cannot be read":   faqAbsent,
		"a deleted entry begins anew at one": faqDeletes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func faqEntry(id string, version int) usher.FAQEntry {
	return usher.FAQEntry{
		ID: id, Titles: map[string]string{"zh": "问 " + id, "en": "Q " + id}, Questions: []string{"another"},
		Answers: map[string]string{"zh": "答", "en": "A"}, Tags: []string{"t"}, Enabled: true, Version: version, UpdatedAt: Start,
	}
}

func faqKeeps(t *testing.T, s FAQStore) {
	ctx := t.Context()
	if got := must[[]usher.FAQEntry](t)(s.FAQEntries(ctx)); got == nil || len(got) != 0 {
		t.Errorf("empty: %v", got)
	}
	b, a := faqEntry("b", 1), faqEntry("a", 1)
	b.Enabled = false
	if err := s.PutFAQ(ctx, b, a); err != nil {
		t.Fatal(err)
	}
	diff(t, "all", must[[]usher.FAQEntry](t)(s.FAQEntries(ctx)), []usher.FAQEntry{a, b})
	a.Version, a.Answers = 2, map[string]string{"zh": "新", "en": "new"}
	if err := s.PutFAQ(ctx, a); err != nil {
		t.Fatal(err)
	}
	diff(t, "replaced", must[usher.FAQEntry](t)(s.FAQEntry(ctx, "a")), a)
}

func faqStale(t *testing.T, s FAQStore) {
	ctx := t.Context()
	if err := s.PutFAQ(ctx, faqEntry("a", 2)); usher.CodeOf(err) != usher.Stale {
		t.Errorf("version 2 of nothing: %v, want stale", err)
	}
	if err := s.PutFAQ(ctx, faqEntry("a", 1)); err != nil {
		t.Fatal(err)
	}
	for _, v := range []int{1, 3} {
		if err := s.PutFAQ(ctx, faqEntry("a", v)); usher.CodeOf(err) != usher.Stale {
			t.Errorf("version %d over 1: %v, want stale", v, err)
		}
	}
	if err := s.DeleteFAQ(ctx, "a", 2); usher.CodeOf(err) != usher.Stale {
		t.Errorf("delete version 2 of 1: %v, want stale", err)
	}
}

func faqAtomic(t *testing.T, s FAQStore) {
	ctx := t.Context()
	if err := s.PutFAQ(ctx, faqEntry("a", 1), faqEntry("b", 5)); usher.CodeOf(err) != usher.Stale {
		t.Errorf("got %v, want stale", err)
	}
	if got := must[[]usher.FAQEntry](t)(s.FAQEntries(ctx)); len(got) != 0 {
		t.Errorf("half of a write stayed: %v", got)
	}
}

func faqPages(t *testing.T, s FAQStore) {
	ctx := t.Context()
	if err := s.PutFAQ(ctx, faqEntry("a", 1), faqEntry("b", 1), faqEntry("c", 1)); err != nil {
		t.Fatal(err)
	}
	got, next, err := s.FAQPage(ctx, usher.Page{Limit: 2})
	if err != nil || len(got) != 2 || got[1].ID != "b" || next == "" {
		t.Fatalf("first page %v, %q, %v", got, next, err)
	}
	got, next, err = s.FAQPage(ctx, usher.Page{Limit: 2, Cursor: next})
	if err != nil || len(got) != 1 || got[0].ID != "c" || next != "" {
		t.Fatalf("second page %v, %q, %v", got, next, err)
	}
	if _, _, err := s.FAQPage(ctx, usher.Page{Cursor: "!"}); usher.CodeOf(err) != usher.InvalidArgument {
		t.Errorf("cursor !: %v", err)
	}
}

func faqAbsent(t *testing.T, s FAQStore) {
	if _, err := s.FAQEntry(t.Context(), "x"); usher.CodeOf(err) != usher.NotFound {
		t.Errorf("read: %v, want not_found", err)
	}
	if err := s.DeleteFAQ(t.Context(), "x", 0); usher.CodeOf(err) != usher.NotFound {
		t.Errorf("delete: %v, want not_found", err)
	}
}

func faqDeletes(t *testing.T, s FAQStore) {
	ctx := t.Context()
	if err := s.PutFAQ(ctx, faqEntry("a", 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteFAQ(ctx, "a", 1); err != nil {
		t.Fatal(err)
	}
	if err := s.PutFAQ(ctx, faqEntry("a", 1)); err != nil {
		t.Errorf("begin anew: %v", err)
	}
}
