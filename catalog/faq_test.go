package catalog_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/catalog"
)

// answers is world with a FAQ, and the book that is told of it.
type answers struct {
	*world
	entries  []usher.FAQEntry
	degraded bool
	shown    []usher.VectorRow
	under    string
	sets     int
}

func (a *answers) Bundle() usher.Bundle {
	b := a.world.Bundle()
	b.Degraded = a.degraded
	return b
}

func (a *answers) FAQEntries(context.Context) ([]usher.FAQEntry, error) { return a.entries, nil }

func (a *answers) Set(embedding string, _ []usher.FAQEntry, rows []usher.VectorRow) {
	a.under, a.shown = embedding, rows
	a.sets++
}

func (a *answers) faq() *catalog.FAQ {
	return catalog.NewFAQ(catalog.FAQConfig{Encoder: a, Store: a, Index: a, Book: a})
}

func faqEntry(id string, version int, title string) usher.FAQEntry {
	return usher.FAQEntry{
		ID: id, Titles: map[string]string{"en": title}, Answers: map[string]string{"en": "answer"}, Enabled: true, Version: version,
		UpdatedAt: time.Unix(int64(version), 0),
	}
}

func TestFAQFollowsTheEntries(t *testing.T) {
	t.Parallel()
	a := &answers{world: newWorld(), entries: []usher.FAQEntry{faqEntry("a", 1, "one"), faqEntry("b", 1, "two")}}
	f := a.faq()
	sync := func(f *catalog.FAQ) {
		t.Helper()
		if err := f.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sync(f)
	if len(a.encoded) != 4 || len(a.shown) != 4 || a.under != "e-1" || !a.index["faq:e-1/a#0"] || !a.index["faq:e-1/b#1"] {
		t.Fatalf("encoded %v, shown %d under %q, index %v", a.encoded, len(a.shown), a.under, a.index)
	}
	sets := a.sets
	if sync(f); a.sets != sets {
		t.Error("nothing changed and the book was set again")
	}
	a.entries = []usher.FAQEntry{faqEntry("a", 2, "other")}
	sync(f)
	if len(a.encoded) != 5 || len(a.shown) != 2 || a.index["faq:e-1/b#0"] || !a.index["faq:e-1/a#0"] {
		t.Errorf("after a change and a deletion: encoded %v, shown %d, index %v", a.encoded, len(a.shown), a.index)
	}
	a.index = map[string]bool{} // memory is gone: a new start
	sync(a.faq())
	if len(a.encoded) != 5 || len(a.shown) != 2 || !a.index["faq:e-1/a#1"] {
		t.Errorf("after a start: encoded %v, shown %d, index %v", a.encoded, len(a.shown), a.index)
	}
	a.embedding = "e-2"
	sync(f)
	if len(a.encoded) != 7 || a.under != "e-2" || !a.index["faq:e-2/a#0"] {
		t.Errorf("another embedding: encoded %v under %q, index %v", a.encoded, a.under, a.index)
	}
	off := a.entries[0]
	off.Enabled, off.Version = false, 3
	a.entries = []usher.FAQEntry{off}
	if sync(f); a.index["faq:e-2/a#0"] {
		t.Error("a disabled entry is in the index")
	}
}

// A model that fails leaves the book with what it has, and the next look makes it good.
func TestFAQWithoutAModel(t *testing.T) {
	t.Parallel()
	a := &answers{world: newWorld(), entries: []usher.FAQEntry{faqEntry("a", 1, "one")}}
	a.broken = true
	f := a.faq()
	if err := f.Sync(t.Context()); err == nil || a.sets == 0 || len(a.shown) != 0 {
		t.Errorf("a broken model: %v, %d sets, %d rows", err, a.sets, len(a.shown))
	}
	a.broken = false
	if err := f.Sync(t.Context()); err != nil || len(a.shown) != 2 {
		t.Errorf("then: %v, %d rows", err, len(a.shown))
	}
	a.degraded = true
	if err := f.Sync(t.Context()); err != nil || a.under != "" || len(a.shown) != 0 {
		t.Errorf("degraded: %v, under %q, %d rows", err, a.under, len(a.shown))
	}
}

// slow is a FAQ whose model takes a minute.
type slow struct{ *answers }

func (s slow) Encode(ctx context.Context, texts []string) ([]usher.Vector, error) {
	select {
	case <-time.After(time.Minute):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.answers.Encode(ctx, texts)
}

// Whoever has changed an entry waits for a long look of another no longer than he wants.
func TestFAQWaitsNoLongerThanAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := slow{&answers{world: newWorld(), entries: []usher.FAQEntry{faqEntry("a", 1, "one")}}}
		f := catalog.NewFAQ(catalog.FAQConfig{Encoder: a, Store: a, Index: a, Book: a})
		looked := make(chan error)
		go func() { looked <- f.Sync(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if err := f.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := <-looked; err != nil {
			t.Error(err)
		}
	})
}
