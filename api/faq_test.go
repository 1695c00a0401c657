package api_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"testing"

	"usher"
	"usher/api"
	"usher/faq"
	"usher/internal/memindex"
)

// faqRows keeps the FAQ in memory.
type faqRows map[string]usher.FAQEntry

func (f faqRows) FAQEntries(context.Context) ([]usher.FAQEntry, error) {
	return slices.SortedFunc(maps.Values(f), func(a, b usher.FAQEntry) int { return cmp.Compare(a.ID, b.ID) }), nil
}

func (f faqRows) FAQPage(ctx context.Context, _ usher.Page) ([]usher.FAQEntry, string, error) {
	all, err := f.FAQEntries(ctx)
	return all, "", err
}

func (f faqRows) FAQEntry(_ context.Context, id string) (usher.FAQEntry, error) {
	e, ok := f[id]
	if !ok {
		return e, usher.Errorf(usher.NotFound, "no FAQ entry %q", id)
	}
	return e, nil
}

func (f faqRows) PutFAQ(_ context.Context, entries ...usher.FAQEntry) error {
	for _, e := range entries {
		f[e.ID] = e
	}
	return nil
}

func (f faqRows) DeleteFAQ(_ context.Context, id string, _ int) error {
	delete(f, id)
	return nil
}

func serveFAQ(t *testing.T) (*client, faqRows, *world) {
	t.Helper()
	rows, w := faqRows{}, newWorld()
	book, err := faq.NewBook(memindex.New())
	if err != nil {
		t.Fatal(err)
	}
	c := serve(t, w, func(cfg *api.Config) {
		cfg.FAQ = &api.FAQ{Store: rows, Book: book, Sync: func(ctx context.Context) error {
			all, err := rows.FAQEntries(ctx)
			book.Set("", all, nil)
			return err
		}}
	})
	return admin(c), rows, w
}

func TestFAQEntries(t *testing.T) {
	t.Parallel()
	c, _, w := serveFAQ(t)
	const body = `{"titles":{"zh":"怎么开发票？","en":"How do I get an invoice?"},"answers":{"zh":"点申请发票","en":"Tap Request invoice"}}`
	made := c.want(201, "PUT", "/v1/faq/invoice", body)
	if made.at("enabled") != true || made.at("version") != 1.0 || made.at("questions") == nil {
		t.Errorf("made: %s", made.raw)
	}
	c.want(412, "PUT", "/v1/faq/invoice", body, `If-Match: "v9"`)
	if got := c.want(200, "PUT", "/v1/faq/invoice", body, `If-Match: "v1"`); got.at("version") != 2.0 {
		t.Errorf("replaced: %s", got.raw)
	}
	bad := c.want(400, "PUT", "/v1/faq/x", `{"titles":{"zh":" "},"answers":{"en":"a"}}`)
	if details, _ := bad.at("error.details").([]any); len(details) != 3 {
		t.Errorf("faults: %s", bad.raw)
	}
	c.want(404, "GET", "/v1/faq/x", nil)
	found := c.want(200, "POST", "/v1/faq/search", `{"text":"怎么开发票","language":"zh"}`)
	if found.text("answers.0.id") != "invoice" || found.text("answers.0.text") != "点申请发票" || found.text("does") == "answer" || found.at("degraded") != true {
		t.Errorf("found: %s", found.raw)
	}
	c.want(400, "POST", "/v1/faq/search", `{"text":" "}`)
	c.want(204, "DELETE", "/v1/faq/invoice", nil)
	c.want(404, "DELETE", "/v1/faq/invoice", nil)
	if got := c.want(200, "POST", "/v1/faq/search", `{"text":"怎么开发票"}`); got.at("answers.0") != nil || got.text("does") != "hand_over" {
		t.Errorf("found after deletion: %s", got.raw)
	}
	var actions []string
	for _, e := range w.audits {
		if e.Target == "invoice" {
			actions = append(actions, e.Action)
		}
	}
	if !slices.Equal(actions, []string{"faq.create", "faq.update", "faq.delete"}) {
		t.Errorf("audit %v", actions)
	}
}

func TestFAQImport(t *testing.T) {
	t.Parallel()
	c, rows, _ := serveFAQ(t)
	const file = "id,question,answer\na,What is a?,It is a\nb,,\nc,What is c?,It is c\n"
	const csv = "Content-Type: text/csv"
	dry := c.want(200, "POST", "/v1/faq/import?dry_run=true", file, csv)
	if dry.at("created") != 2.0 || dry.at("failed") != 1.0 || dry.at("rows.1.error") == nil || len(rows) != 0 {
		t.Errorf("dry run: %s, stored %v", dry.raw, rows)
	}
	c.want(200, "POST", "/v1/faq/import", file, csv)
	if len(rows) != 2 || rows["a"].Version != 1 {
		t.Errorf("stored %v", rows)
	}
	again := c.want(200, "POST", "/v1/faq/import", file+"a2,And?,Yes\n", csv)
	if again.at("unchanged") != 2.0 || again.at("created") != 1.0 || rows["a"].Version != 1 {
		t.Errorf("again: %s", again.raw)
	}
	c.want(400, "POST", "/v1/faq/import", "a,b\n", csv)
	c.want(400, "POST", "/v1/faq/import", "x", "Content-Type: text/plain")
	c.want(400, "POST", "/v1/faq/import?dry_run=maybe", file, csv)
	if list := c.want(200, "GET", "/v1/faq", nil); list.text("data.2.id") != "c" {
		t.Errorf("list: %s", list.raw)
	}
}

func TestFAQScopes(t *testing.T) {
	t.Parallel()
	c, _, _ := serveFAQ(t)
	reader := c.with(issueKey(c, map[string]any{"name": "r", "scopes": []string{"messages"}}))
	reader.want(200, "GET", "/v1/faq", nil)
	reader.want(403, "PUT", "/v1/faq/x", `{}`)
	reader.want(403, "POST", "/v1/faq/import", "question,answer\n", "Content-Type: text/csv")
	none := admin(serve(t, newWorld()))
	none.want(503, "GET", "/v1/faq", nil)
}
